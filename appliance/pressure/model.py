"""What is found out about the box at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.infra.disk_space import Room


@dataclass(frozen=True)
class Memory:
    """Of the box, or of the container that the appliance is in."""

    total_bytes: int
    #: What can be had without swapping.
    available_bytes: int


@dataclass(frozen=True)
class Process:
    """One process of the appliance."""

    name: str
    pid: int
    resident_bytes: int
    descriptors: int
    max_descriptors: int


@dataclass(frozen=True)
class Connections:
    """Of Postgres, everybody's."""

    used: int
    limit: int


@dataclass(frozen=True)
class ClockMove:
    """Somebody set the wall clock."""

    #: Below 0: back.
    by_s: float
    #: When, by the clock that nobody sets.
    at: float


@dataclass(frozen=True)
class Facts:
    """Everything at one moment."""

    #: By the clock that nobody sets.
    at: float
    memory: Memory
    processes: Sequence[Process] = ()
    #: Where sockets and traces on their way are.
    run: Room | None = None
    disks: Sequence[Room] = ()
    #: ``None``: Postgres did not answer.
    connections: Connections | None = None
    #: How far Postgres' clock is ahead of the hub's, in seconds.
    postgres_ahead_s: float = 0.0


@dataclass(frozen=True)
class Limits:
    """From where on something is said."""

    memory_low_percent: float = 5
    process_memory_bytes: int = 1024**3
    #: Of descriptors and connections.
    used_percent: float = 80
    full_within_h: float = 6


@dataclass
class History:
    """How much was free, for each place, so that a trend can be seen."""

    #: Place to moments and bytes, the oldest first.
    samples: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
