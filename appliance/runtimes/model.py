"""What an executor is asked to run, and what it says of what runs."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import SecretStr

from appliance.runtimes.isolation import Isolation


class Transport(StrEnum):
    """How a server speaks MCP."""

    STDIO = "stdio"
    STREAMABLE_HTTP = "streamable-http"
    SSE = "sse"


@dataclass(frozen=True)
class Limits:
    """What one instance may use."""

    cpus: float = 1.0
    memory_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True)
class SecretValue:
    """One value that an instance gets and nobody else sees; a file at ``/run/secrets/<name>``."""

    name: str
    value: SecretStr
    #: Whether it is in the program's environment, too, as ``<name>`` and ``CFG_<name>``.
    in_environment: bool = True


#: What an instance is for: clients are sent there, or it is only looked at.
SERVE, CANDIDATE = "serve", "candidate"


@dataclass(frozen=True)
class Attestation:
    """Whether anybody vouches for what an instance runs in."""

    #: ``unsupported``, ``pending``, ``trusted`` or ``untrusted``.
    status: str = "unsupported"
    detail: str = ""


@dataclass(frozen=True)
class InstanceSpec:
    """One instance, wholly described; equal specs run equal containers."""

    server_id: int
    server_name: str
    deployment_id: int
    image: str
    transport: Transport
    #: Port and path inside the container; ignored for stdio.
    port: int = 8000
    path: str = "/mcp"
    #: Arguments after the image's entry point.
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    isolation: Isolation = Isolation()
    secrets: tuple[SecretValue, ...] = ()
    #: ``serve`` or ``candidate``.
    purpose: str = SERVE
    #: By which it may start; ``None``: nobody was asked.
    decision_id: int | None = None

    @property
    def name(self) -> str:
        """The instance's name on its executor; a second start under it finds the first."""
        return f"mcp-{self.server_name}-{self.deployment_id}"


class InstanceState(StrEnum):
    """Where an instance is."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True)
class Instance:
    """One instance as its executor sees it now."""

    name: str
    container_id: str
    server_id: int
    deployment_id: int
    state: InstanceState
    #: Where the gateway reaches an HTTP server (``http://10.213.0.3:8000/mcp``); empty
    #: for stdio and when not running.
    address: str = ""
    #: Of the last exit; ``None`` while it runs.
    exit_code: int | None = None
    #: Whether the engine saw the kernel kill it for want of memory; one that ends fast is sometimes missed.
    out_of_memory: bool = False
    started_at: datetime | None = None
    #: What it runs, as the executor names it; empty: it does not say.
    image_id: str = ""
    #: It runs, and gets no time to: somebody stopped its container's clock.
    is_paused: bool = False
    #: It ended because its executor went away, and not by itself.
    ended_with_engine: bool = False
    #: As it was started: ``serve`` or ``candidate``, and by which decision.
    purpose: str = SERVE
    decision_id: int | None = None
    #: What stands between it and the kernel, as the executor says: ``standard``, ``sandboxed``, ``vm`` or ``unknown``.
    isolation_tier: str = "unknown"
    #: What the executor calls that: ``runc``, ``runsc``, …; empty: it does not say.
    runtime: str = ""
    attestation: Attestation = Attestation()


@dataclass(frozen=True)
class SessionContainer:
    """A container that one session of a server has for itself; the gateway keeps it."""

    #: Which session, unguessable from outside and no key to it.
    session: str
    #: The instance that it was made like.
    instance: str
    container_id: str
    is_running: bool
    created_at: datetime


@dataclass(frozen=True)
class LogLine:
    """One line that an instance printed."""

    at: datetime
    stream: str  # 'stdout' or 'stderr'
    text: str


@dataclass(frozen=True)
class ExecutorEvent:
    """Something happened to an instance, or (``server_id`` None) events may have been missed: look at everything."""

    server_id: int | None
    deployment_id: int | None
    action: str  # 'start', 'die', 'destroy', 'oom', 'pause', 'unpause', 'reconnected'


@dataclass(frozen=True)
class ExecutorDescriptor:
    """What an executor says of itself; the policy engine matches requirements to it."""

    name: str
    capabilities: frozenset[str]
    isolation_tiers: frozenset[str]
    #: Why nothing holds what lies in a server's /data within its limit; empty: it is held.
    data_unlimited_because: str = ""
