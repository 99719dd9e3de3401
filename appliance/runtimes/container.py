"""From an instance's description to what the Docker engine is asked to create. Pure.

What keeps it in its place is ``hardening``'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.core import labels
from appliance.runtimes import secret_entry
from appliance.runtimes.hardening import EngineFacts, hardening
from appliance.runtimes.model import InstanceSpec, Transport
from appliance.runtimes.networks import attachment
from appliance.runtimes.secret_entry import ImageProgram, SecretPlaces

#: Who runs in containers whose image does not say, or says root.
DEFAULT_UID = 10001
DATA = "/data"
DEFAULT_ENGINE = EngineFacts()
NO_SECRETS = SecretPlaces()

#: Small, and never a brake: a server that prints faster than the disk writes loses log
#: lines, not time.
LOGS = {
    "Type": "local",
    "Config": {
        "max-size": "4m",
        "max-file": "2",
        "compress": "false",
        "mode": "non-blocking",
        "max-buffer-size": "1m",
    },
}


@dataclass(frozen=True)
class ImageFacts:
    """What the engine says of an image and of the user in it."""

    id: str
    uid: int
    gid: int
    #: Whether the image runs as a user of its own choice, who then keeps the home that
    #: the image gives.
    has_own_user: bool
    #: Whether the volume was given to that user already. The engine would otherwise
    #: copy the image's /data and its owner into an empty volume, which is right for our
    #: own base alone.
    volume_is_ready: bool
    #: Variables that the image sets, by name.
    environment: Mapping[str, str]
    program: ImageProgram = field(default_factory=ImageProgram)


def container_config(  # noqa: PLR0913 - what a container is made of
    spec: InstanceSpec,
    image: ImageFacts,
    *,
    owner: str,
    network: str,
    volume: str,
    engine: EngineFacts = DEFAULT_ENGINE,
    secrets: SecretPlaces = NO_SECRETS,
) -> dict[str, Any]:
    """Return the body of ``POST /containers/create``.

    Args:
        spec: What is run.
        image: What the engine says of its image.
        engine: What the engine offers to keep it apart.
        owner: This installation's id.
        network: Name of the server's own network.
        volume: Name of the server's volume, mounted at ``/data``.
        secrets: Where on this box what its secrets need is.

    Raises:
        StartFailedError: Its secrets cannot reach it in the way that was asked for.
    """
    speaks_http = spec.transport is not Transport.STDIO
    port = f"{spec.port}/tcp"
    config: dict[str, Any] = {
        "Image": image.id,
        "Hostname": spec.server_name,
        "User": f"{image.uid}:{image.gid}",
        "Env": [f"{name}={value}" for name, value in environment(spec, image).items()],
        "Labels": container_labels(spec, owner=owner),
        # The bridge attaches whenever it likes, and stdin stays open while nobody is
        # attached.
        "OpenStdin": not speaks_http,
        "StdinOnce": False,
        "Tty": False,
        # The gateway asks the server itself; an image's own check would only start
        # processes.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host_config(
            spec,
            network=network,
            mounts=[
                data_mount(volume, is_ready=image.volume_is_ready),
                *secret_entry.mounts(spec.secrets, image.program, secrets),
            ],
            engine=engine,
        ),
        **secret_entry.entry(spec.secrets, image.program, spec.arguments),
    }
    if speaks_http:
        # Told, not published: the gateway reaches it on the server's own network.
        config["ExposedPorts"] = {port: {}}
    return config


def host_config(
    spec: InstanceSpec,
    *,
    network: str,
    mounts: list[dict[str, Any]],
    engine: EngineFacts,
) -> dict[str, Any]:
    """Return the part that keeps the container in its place and within its limits."""
    return {
        **hardening(spec.isolation, engine),
        "Mounts": mounts,
        "Memory": spec.limits.memory_bytes,
        # Equal to Memory: no swap on top.
        "MemorySwap": spec.limits.memory_bytes,
        "NanoCpus": round(spec.limits.cpus * 1_000_000_000),
        **attachment(network),
        "LogConfig": LOGS,
        # The reconciler restarts: only it can count, back off and say why.
        "RestartPolicy": {"Name": "no"},
    }


def data_mount(volume: str, *, is_ready: bool) -> dict[str, Any]:
    """Return the mount of a server's volume."""
    return {
        "Type": "volume",
        "Source": volume,
        "Target": DATA,
        "VolumeOptions": {"NoCopy": is_ready},
    }


def container_labels(spec: InstanceSpec, *, owner: str) -> dict[str, str]:
    """Return the labels by which a restarted hub knows the container again."""
    decision = (
        {} if spec.decision_id is None else {labels.DECISION: str(spec.decision_id)}
    )
    return decision | {
        labels.OWNER: owner,
        labels.SERVER: str(spec.server_id),
        labels.DEPLOYMENT: str(spec.deployment_id),
        labels.INSTANCE: spec.name,
        labels.TRANSPORT: spec.transport.value,
        labels.PORT: str(spec.port),
        labels.PATH: spec.path,
        labels.PURPOSE: spec.purpose,
    }


def environment(spec: InstanceSpec, image: ImageFacts) -> dict[str, str]:
    """Return the variables that are added to the image's own; what the server's owner set wins."""
    found: dict[str, str] = {}
    if not image.has_own_user or "HOME" not in image.environment:
        # A home on the read-only root would fail whoever writes to it.
        found["HOME"] = DATA
    if spec.transport is not Transport.STDIO:
        found |= http_conventions(spec.port)
    for name, value in spec.environment.items():
        if not name.startswith("CFG_"):
            found[f"CFG_{name}"] = value
    return found | dict(spec.environment)


def http_conventions(port: int) -> dict[str, str]:
    """Return the variables by which servers are commonly told where to listen."""
    return {
        "HOST": "0.0.0.0",  # noqa: S104 - inside the container, which has a network of its own
        "PORT": str(port),
        "FASTMCP_HOST": "0.0.0.0",  # noqa: S104 - as above
        "FASTMCP_PORT": str(port),
        "UVICORN_HOST": "0.0.0.0",  # noqa: S104 - as above
        "UVICORN_PORT": str(port),
        # Read by the entry of images that we build: see builds/base/relay.py.
        "MCP_HOST_HTTP_PORT": str(port),
    }
