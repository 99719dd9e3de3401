"""What the front door is made of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Where Nginx finds and keeps things; all paths are absolute."""

    #: Certificates, answers to challenges, the configuration.
    proxy_dir: Path
    #: Sockets and what is not worth keeping.
    run_dir: Path

    @property
    def config(self) -> Path:
        """What Nginx reads."""
        return self.proxy_dir / "nginx.conf"

    @property
    def last_good(self) -> Path:
        """What Nginx took last."""
        return self.proxy_dir / "nginx.conf.good"

    @property
    def candidate(self) -> Path:
        """What is tried before it becomes the configuration."""
        return self.proxy_dir / "nginx.conf.candidate"

    @property
    def pid(self) -> Path:
        """The number of Nginx's first process."""
        return self.run_dir / "control" / "nginx.pid"

    @property
    def status_socket(self) -> Path:
        """Where Nginx tells how it is, to whoever may look into the directory."""
        return self.run_dir / "control" / "status.sock"

    @property
    def leaving(self) -> Path:
        """While this is there, clients are told to come back on another connection."""
        return self.run_dir / "leaving"

    @property
    def left_behind(self) -> Path:
        """Workers of an Nginx that was killed, which are to leave once the next one answers."""
        return self.run_dir / "control" / "left-behind"

    @property
    def temporary(self) -> Path:
        """Where what does not fit into memory waits."""
        return self.run_dir / "temporary"


@dataclass(frozen=True)
class Limits:
    """What one address may ask; 0: any number."""

    requests_per_second: int = 0
    burst: int = 0
    connections: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything that the configuration says."""

    places: Places
    #: As Nginx writes them: ``0.0.0.0``, ``[::]``.
    addresses: tuple[str, ...]
    http_port: int
    https_port: int
    #: ``127.0.0.1:3000``
    hub: str
    gateway: str
    #: Under which the hub is reached, beside every address of the box.
    hub_names: tuple[str, ...]
    #: Other names of the box, which lead to the gateway.
    gateway_names: tuple[str, ...] = ()
    #: ``*.example.org``, each with a certificate.
    wildcards: tuple[str, ...] = ()
    #: Names under a wildcard that have certificates of their own.
    apart: tuple[str, ...] = ()
    limits: Limits = Limits()
    #: 0: browsers are told nothing.
    hsts_seconds: int = 0
    hub_body_bytes: int = 1024**3
    gateway_body_bytes: int = 100 * 1024**2
    #: Seconds that an old worker goes on with what is open after a reload.
    leave_within_s: int = 3600
    #: Seconds that a connection to hub or gateway stays open unused; less than they wait.
    idle_s: float = 0.7
    #: Proxies before the front door, whose word about the client counts.
    trusted: tuple[str, ...] = ()
    #: Who the workers are; ``None``: whoever starts Nginx.
    user: str | None = None
    #: Connections of each worker, and files that it may have open.
    connections: int = 4096
    files: int = 8192


class NginxState(StrEnum):
    """How Nginx is."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Quarantined:
    """Something that is left out, so that all else is served."""

    #: ``certificate``, ``wildcard`` or ``name``.
    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class DoorState:
    """How the front door is, as the controller saw it last."""

    seen_at: datetime
    nginx: NginxState
    #: Of Nginx; empty: not known.
    version: str
    #: Of the configuration that serves; empty: nobody answers.
    generation: str
    reloaded_at: datetime | None
    #: Seconds that the last reload waited for clients and workers.
    reload_s: float | None
    #: Why the configuration is not what the settings say; empty: it is.
    problem: str
    quarantined: tuple[Quarantined, ...] = ()
    #: Names that have a certificate, and how many of them are wildcards.
    certificates: int = 0
    wildcards: int = 0
    #: Requests since Nginx was started, and connections that are open.
    requests: int = 0
    connections: int = 0
    #: Since when somebody wants Nginx to read everything again.
    reload_asked_at: datetime | None = None
