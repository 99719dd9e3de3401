"""What a hosted server is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from appliance.accounts.access import Kind, Thing
from appliance.core.egress import EgressPolicy
from appliance.runtimes.isolation import Isolation
from appliance.runtimes.model import SERVE, Limits, Transport
from appliance.servers.deploys.model import Trigger
from appliance.servers.deploys.policy import DeployPolicy
from appliance.servers.health.policy import HealthPolicy
from appliance.servers.pinning.policy import PinningMode
from appliance.sources.credentials import Credential
from appliance.sources.model import Source


class DesiredState(StrEnum):
    """What people want; only they write it."""

    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class Status(StrEnum):
    """What the reconciler observed; only it writes it."""

    QUEUED = "queued"
    CLONING = "cloning"
    BUILDING = "building"
    PUSHING = "pushing"
    PENDING_EVALUATION = "pending-evaluation"
    PENDING_GOVERNANCE = "pending-governance"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens until somebody or something outside acts."""
        return self in _SETTLED


_SETTLED = frozenset(
    {
        Status.PENDING_EVALUATION,
        Status.PENDING_GOVERNANCE,
        Status.RUNNING,
        Status.DEGRADED,
        Status.STOPPED,
        Status.ERROR,
    }
)


class DeploymentState(StrEnum):
    """How one attempt to make a version live stands."""

    PENDING = "pending"
    LIVE = "live"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It was live, and was taken back because calls to it failed.
    ROLLED_BACK = "rolled-back"


class SessionMode(StrEnum):
    """Who shares the container of a stdio server."""

    SHARED = "shared"
    PER_SESSION = "per-session"
    #: Shared, until the server asks its clients something: then those that can answer get a container each.
    AUTO = "auto"


@dataclass(frozen=True)
class CallLimits:
    """What all clients together may ask of a server through the gateway; ``None``: as the box's settings say."""

    calls_per_second: float | None = None
    #: Calls at once.
    concurrency: int | None = None
    #: Of one request.
    body_bytes: int | None = None
    #: From a client's request to the answer.
    timeout_s: float | None = None


@dataclass(frozen=True)
class ServerConfig:
    """How a server is run, whatever it is."""

    arguments: tuple[str, ...] = ()
    #: Reaches the server under each plain name and under ``CFG_<name>``. Not for secrets: the engine shows it.
    environment: dict[str, str] = field(default_factory=dict)
    cpu_limit: float = Limits.cpus
    memory_limit_bytes: int = Limits.memory_bytes
    #: ``None``: taken from the image or the sources, else stdio.
    transport: Transport | None = None
    #: Where an HTTP server listens inside its container; ``None``: as the image or the sources say.
    port: int | None = None
    path: str = "/mcp"
    #: The only tools that clients may list and call; ``None``: all.
    tools: tuple[str, ...] | None = None
    #: Means something for stdio alone; an HTTP server keeps its sessions apart itself.
    session_mode: SessionMode = SessionMode.AUTO
    #: Whether discovery (catalog, card, registry) shows it to those who hold no key. The endpoint stays closed to them.
    listed: bool = False
    #: Whether traces keep what was asked and answered, beside who, what and how long.
    trace_bodies: bool = True
    limits: CallLimits = CallLimits()
    #: Which of several programs of a repository is started; empty: the only one.
    entry: str = ""
    #: Built instead of the generated Dockerfile, or the repository's own; empty: those.
    dockerfile: str = ""
    health: HealthPolicy = HealthPolicy()
    deploys: DeployPolicy = DeployPolicy()
    pinning: PinningMode = PinningMode.WARN
    isolation: Isolation = Isolation()
    #: ``None``: as servers of its kind of source get it.
    egress: EgressPolicy | None = None


@dataclass(frozen=True)
class Server:
    """One hosted server."""

    id: int
    name: str
    #: Whose it is, or, where it is an organisation's, who brought it.
    owner_id: int
    server_type: str
    source: Source
    config: ServerConfig
    desired_state: DesiredState
    status: Status
    #: Why the status is what it is, with the next step; empty when there is nothing to say.
    status_reason: str
    status_since: datetime
    #: The deployment that the gateway routes to.
    deployment_id: int | None
    endpoint_key_prefix: str
    crashes: int
    last_crash_at: datetime | None
    created_at: datetime
    #: Of the organisation that it belongs to; ``None``: it is ``owner_id``'s own.
    org_id: int | None = None

    @property
    def builds_for(self) -> int:
        """Whose builds its are: a person's number, or an organisation's below zero, so that nobody's cache is another's.

        Not that of who brought it to an organisation: they may have left, and go on building for themselves.
        """
        return self.owner_id if self.org_id is None else -self.org_id

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what."""
        return Thing(Kind.SERVER, self.id, self.owner_id, self.org_id, self.id)


@dataclass(frozen=True)
class Deployment:
    """One attempt to make a version live."""

    id: int
    server_id: int
    #: 1, 2, 3 … within the server.
    number: int
    state: DeploymentState
    #: Why it failed, or, of one that did not, why it was resolved as of another day; empty otherwise.
    reason: str
    source: Source
    config: ServerConfig
    #: What the instance runs; ``None`` until it is built, empty for a remote server.
    image: str | None
    resolved: dict[str, Any]
    manifest: dict[str, Any] | None
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    #: When the manifest was read last, changed or not.
    manifest_at: datetime | None = None
    #: Names of the environment variables that it said it lacks when it failed.
    missing_settings: tuple[str, ...] = ()
    trigger: Trigger = Trigger.REDEPLOY
    #: Number of the deployment whose image it takes; ``None``: it has its own.
    made_of: int | None = None
    #: When clients were first sent to it.
    live_at: datetime | None = None
    #: Ids of the image that should run and of the one that does; empty: not compared.
    wanted_digest: str = ""
    running_digest: str = ""
    compared_at: datetime | None = None

    @property
    def runs_as_wanted(self) -> bool | None:
        """Whether the image that runs is the one that should; ``None``: not compared."""
        if self.compared_at is None:
            return None
        return self.wanted_digest == self.running_digest


@dataclass(frozen=True)
class InstanceRecord:
    """What the gateway was told of a running instance."""

    deployment_id: int
    executor: str
    name: str
    container_id: str
    transport: Transport
    address: str
    #: The row's number; 0 before it is stored.
    id: int = 0
    #: Since when another instance is routed to, and when this one is removed whatever still goes on there.
    leaving_since: datetime | None = None
    leave_by: datetime | None = None
    #: ``candidate``: of a held deployment, to be evaluated; no client is sent there.
    purpose: str = SERVE
    #: By which it was started; ``None``: before there were decisions.
    decision_id: int | None = None


@dataclass(frozen=True)
class NewServer:
    """What a person asks for."""

    source: Source
    #: ``None``: derived from the source.
    name: str | None = None
    #: What kind of server it is, as people call it; ``None``: by its source.
    server_type: str | None = None
    config: ServerConfig = ServerConfig()
    #: With what the source is fetched, where it is private.
    credential: Credential | None = None
    #: What it gets and nobody else may see, by name.
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    #: Number or name of the organisation that it is brought for; ``None``: whoever brings it.
    org: int | str | None = None
