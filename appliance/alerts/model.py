"""Alerts, and whom they are sent to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: The job that tells one channel of one alert.
DELIVER = "alerts.deliver"


class Severity(StrEnum):
    """How bad it is, the less bad first."""

    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return list(Severity).index(self)


class News(StrEnum):
    """What is told of an alert."""

    BEGAN = "began"
    ENDED = "ended"
    REMINDER = "reminder"
    TEST = "test"


class ChannelKind(StrEnum):
    """How somebody is told."""

    WEBHOOK = "webhook"
    EMAIL = "email"


@dataclass(frozen=True)
class Condition:
    """Something that is wrong at this moment, as whoever looks at it says."""

    #: ``<source>:<what>``: the same as long as it is the same thing.
    key: str
    severity: Severity
    #: A sentence or two, for a person.
    text: str
    #: What to do.
    hint: str = ""
    #: Seconds that it must last before anybody is told.
    after_s: float = 30.0


#: Returns what is wrong by one way of looking; raises where it cannot look, and then nothing of it begins or ends.
Source = Callable[[], Awaitable[Sequence[Condition]]]


@dataclass(frozen=True)
class Alert:
    """One time that something was wrong."""

    id: int
    key: str
    severity: Severity
    text: str
    hint: str
    since: datetime
    last_seen: datetime
    #: When somebody was told last; ``None``: nobody was yet.
    told_at: datetime | None = None
    ended_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    #: Nobody is told of its kind until then.
    silenced_until: datetime | None = None

    @property
    def source(self) -> str:
        """Whose word it is."""
        return self.key.partition(":")[0]


@dataclass(frozen=True)
class Channel:
    """Where alerts are sent."""

    id: int
    kind: ChannelKind
    name: str
    #: Of a webhook the URL, else the e-mail address.
    address: str
    #: What is less bad than this is not sent there.
    min_severity: Severity
    created_by: str
    created_at: datetime
    last_sent_at: datetime | None = None
    #: Of the last attempt; empty: it went well, or there was none.
    last_error: str = ""
