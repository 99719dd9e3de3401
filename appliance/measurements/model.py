"""What is measured of a server, and how it is told."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True)
class Sample:
    """What one server used in one span of time, all its containers together."""

    server_id: int
    #: When the span began.
    at: datetime
    #: Seconds of processor time.
    cpu_s: float
    #: The most at one moment.
    memory_bytes: int
    received_bytes: int
    sent_bytes: int
    #: The most at one moment.
    containers: int
    #: Seconds of the span that were measured.
    covered_s: float

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_s / self.covered_s if self.covered_s else 0.0

    def per_second(self, count: int) -> float:
        """Return a count of the span as a rate."""
        return count / self.covered_s if self.covered_s else 0.0


@dataclass(frozen=True)
class Calls:
    """What the calls of one span of time were like."""

    at: datetime
    calls: int
    errors: int
    p50_ms: float
    p90_ms: float
    p99_ms: float


class MarkKind(StrEnum):
    """What happened."""

    DEPLOY = "deploy"
    BUILD = "build"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    CRASH = "crash"
    ERROR = "error"


@dataclass(frozen=True)
class Mark:
    """Something that happened to a server, as it stands in a chart."""

    at: datetime
    kind: MarkKind
    text: str


@dataclass(frozen=True)
class Resolution:
    """How fine samples are kept, and for how long."""

    step: timedelta
    keep: timedelta


RESOLUTIONS = (
    Resolution(timedelta(seconds=10), timedelta(hours=1)),
    Resolution(timedelta(minutes=1), timedelta(days=1)),
    Resolution(timedelta(minutes=10), timedelta(days=30)),
)


@dataclass(frozen=True)
class Series:
    """Everything about a window of time; the lists are as long as ``at``, ``None`` where nothing is known."""

    since: datetime
    until: datetime
    step: timedelta
    at: list[datetime]
    samples: list[Sample | None]
    calls: list[Calls | None]
    marks: list[Mark] = field(default_factory=list)
    #: Only so many of the newest calls were looked at; ``None``: all.
    calls_sample: int | None = None
