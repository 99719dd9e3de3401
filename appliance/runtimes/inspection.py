"""From what the Docker engine says of a container to what the port promises. Pure."""

import shlex
from collections.abc import Mapping
from typing import Any

from appliance.core import labels
from appliance.runtimes.frames import parse_moment
from appliance.runtimes.hardening import GVISOR_RUNTIMES
from appliance.runtimes.isolation import Tier
from appliance.runtimes.model import (
    SERVE,
    Attestation,
    ExecutorEvent,
    Instance,
    InstanceState,
    Transport,
)

#: Runtimes that are the kernel's own namespaces and nothing more.
_PLAIN = {"runc", "crun", "youki", "io.containerd.runc.v2"}
UNKNOWN = "unknown"
NOT_ATTESTED = Attestation(
    "unsupported",
    "A container engine vouches for nothing: no hardware measures what its containers run.",
)

_STATES = {
    "created": InstanceState.CREATED,
    "running": InstanceState.RUNNING,
    "paused": InstanceState.RUNNING,
    "restarting": InstanceState.RUNNING,
}


def instance(found: Mapping[str, Any]) -> Instance:
    """Return the answer of ``GET /containers/<id>/json`` as an instance."""
    own = found["Config"]["Labels"]
    state = _STATES.get(found["State"]["Status"], InstanceState.EXITED)
    has_ended = state is InstanceState.EXITED
    runtime = str((found.get("HostConfig") or {}).get("Runtime") or "")
    return Instance(
        name=own[labels.INSTANCE],
        container_id=found["Id"],
        server_id=int(own[labels.SERVER]),
        deployment_id=int(own[labels.DEPLOYMENT]),
        state=state,
        address=address(found) if state is InstanceState.RUNNING else "",
        exit_code=int(found["State"]["ExitCode"]) if has_ended else None,
        out_of_memory=has_ended and bool(found["State"].get("OOMKilled")),
        started_at=parse_moment(found["State"].get("StartedAt", "")),
        image_id=str(found.get("Image", "")),
        is_paused=bool(found["State"].get("Paused")),
        purpose=own.get(labels.PURPOSE, SERVE),
        decision_id=int(own[labels.DECISION]) if labels.DECISION in own else None,
        isolation_tier=_tier(runtime),
        runtime=runtime,
        attestation=NOT_ATTESTED,
    )


def _tier(runtime: str) -> str:
    """Return how far a runtime of the engine keeps a container apart, by what it is called."""
    name = runtime.rpartition("/")[2].lower()
    if name in GVISOR_RUNTIMES or "runsc" in name:
        return Tier.SANDBOXED.value
    if "kata" in name:
        return Tier.VM.value
    return Tier.STANDARD.value if name in _PLAIN else UNKNOWN


def state(listed: Any) -> tuple[str, tuple[int, InstanceState]]:
    """Return container, server and state of one line of ``GET /containers/json``."""
    where = _STATES.get(listed["State"], InstanceState.EXITED)
    return listed["Id"], (int(listed["Labels"][labels.SERVER]), where)


def address(found: Mapping[str, Any]) -> str:
    """Return where the gateway reaches the server in a running container; empty for stdio."""
    own = found["Config"]["Labels"]
    if own[labels.TRANSPORT] == Transport.STDIO.value:
        return ""
    networks = found["NetworkSettings"]["Networks"].values()
    place = next((item["IPAddress"] for item in networks if item["IPAddress"]), "")
    return f"http://{place}:{own[labels.PORT]}{own[labels.PATH]}" if place else ""


def event(found: Mapping[str, Any]) -> ExecutorEvent:
    """Return one line of ``GET /events`` as an event."""
    own = found["Actor"]["Attributes"]
    return ExecutorEvent(
        int(own[labels.SERVER]), int(own[labels.DEPLOYMENT]), str(found["Action"])
    )


def refusal(message: str, image: Mapping[str, Any], arguments: tuple[str, ...]) -> str:
    """Return the engine's refusal to start as a sentence; names the program if that is what was not found."""
    if "executable file not found" in message or "no such file or directory" in message:
        config = image.get("Config") or {}
        program = [
            *(config.get("Entrypoint") or []),
            *(arguments or config.get("Cmd") or []),
        ]
        return f"The image has no program {shlex.join(program[:1])}: {message}"
    if "no command specified" in message.lower():
        return "The image names no program to start (neither ENTRYPOINT nor CMD); give its command as arguments."
    return f"The engine refused to start the container: {message}"
