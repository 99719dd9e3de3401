"""Registries, repositories and manifests as values. Pure."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.core.registry_names import split_registry

DOCKER_HUB = "docker.io"
#: Where Docker Hub's API lives; everybody else's lives at the name itself.
DOCKER_HUB_API = "registry-1.docker.io"
#: The keys under which Docker's configuration files know a host.
DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB)

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Target:
    """Where images go, as ``REGISTRY`` says it."""

    #: ``registry.example.org:5000``; ``docker.io`` for Docker Hub.
    host: str
    #: ``team/servers``; may be empty.
    namespace: str = ""

    def repository(self, name: str) -> str:
        """Return the repository of a server, without the host."""
        return f"{self.namespace}/{name}" if self.namespace else name

    def reference(self, name: str) -> str:
        """Return the repository of a server, as people write it."""
        return f"{self.host}/{self.repository(name)}"


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry keeps it; its digest has been checked against its bytes."""

    body: bytes
    media_type: str
    digest: str


def parse_target(text: str) -> Target:
    """Return what ``REGISTRY`` means.

    >>> parse_target("registry.example.org:5000/team/servers")
    Target(host='registry.example.org:5000', namespace='team/servers')

    Raises:
        ValueError: It is not a host with an optional namespace.
    """
    host, namespace = split_registry(text)
    if host in {"index.docker.io", DOCKER_HUB_API}:
        host = DOCKER_HUB
    return Target(host, namespace)


def registry_host(text: str | None) -> str:
    """Return the host of what ``REGISTRY`` says; empty if there is none."""
    return parse_target(text).host if text else ""


def api_host(host: str) -> str:
    """Return where the API of a registry lives."""
    return DOCKER_HUB_API if host == DOCKER_HUB else host


def config_keys(host: str) -> tuple[str, ...]:
    """Return the names under which a Docker configuration may know ``host``."""
    if host == DOCKER_HUB:
        return DOCKER_HUB_KEYS
    return (host, f"https://{host}", f"http://{host}", f"https://{host}/v2/")


def is_plain(host: str, insecure: Iterable[str] = ()) -> bool:
    """Tell whether ``host`` is spoken to without TLS: this box itself, as engines have it, or one that is listed.

    >>> is_plain("127.0.0.1:5000"), is_plain("localhost"), is_plain("example.org")
    (True, True, False)
    """
    if host in set(insecure):
        return True
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_digest(text: str) -> bool:
    """Tell whether ``text`` is a digest that we take."""
    return _DIGEST.fullmatch(text) is not None


def push_scopes(repository: str) -> tuple[str, str]:
    """Return the scopes that a push needs, as the telemetry names them."""
    return f"repository:{repository}:push", f"repository:{repository}:pull"


def pull_scopes(repository: str) -> tuple[str, ...]:
    """Return the scopes that reading needs."""
    return (f"repository:{repository}:pull",)
