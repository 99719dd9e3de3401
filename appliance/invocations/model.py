"""What is known of calls."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from appliance.core.errors import InvalidError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR_HELP = "give next_cursor of the page before, as it was answered"
#: Microseconds until the year 9999, and ids as Postgres counts them.
_LARGEST_MOMENT = 253_402_300_799_000_000
_LARGEST_ID = 2**63 - 1


class Outcome(StrEnum):
    """How a call went."""

    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True)
class Cursor:
    """A place in the list, newest first: just after one call."""

    started_at: datetime
    id: int

    def __str__(self) -> str:
        """Return it as it stands in an address."""
        return f"{(self.started_at - _EPOCH) // _MICROSECOND}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return what ``str`` wrote.

        Raises:
            InvalidError: Nobody wrote it.
        """
        moment, _, number = text.partition("-")
        digits = moment + number
        if not (moment and number and digits.isascii() and digits.isdigit()):
            raise InvalidError.field("cursor", _CURSOR_HELP)
        if int(moment) > _LARGEST_MOMENT or int(number) > _LARGEST_ID:
            raise InvalidError.field("cursor", _CURSOR_HELP)
        return cls(_EPOCH + int(moment) * _MICROSECOND, int(number))


@dataclass(frozen=True)
class Invocation:
    """One call, without its bodies."""

    id: int
    started_at: datetime
    duration_ms: float
    server_id: int
    bundle_id: int | None
    deployment_id: int | None
    #: ``server:12``, ``user:5``, ``bundle:3`` or ``hub``.
    principal: str
    method: str
    target: str
    http_status: int
    #: Empty: it went well.
    error_class: str
    rpc_code: int | None
    request_bytes: int
    response_bytes: int
    traceparent: str
    #: The principal as people know it.
    caller: str = ""

    @property
    def outcome(self) -> Outcome:
        """How it went."""
        return Outcome.ERROR if self.error_class else Outcome.OK

    @property
    def trace_id(self) -> str:
        """The trace that the client says the call belongs to; empty: it says none."""
        parts = self.traceparent.split("-")
        return parts[1] if len(parts) > 2 else ""  # noqa: PLR2004 - version, trace, span, flags


@dataclass(frozen=True)
class FullInvocation:
    """One call with what is kept of its bodies."""

    call: Invocation
    #: ``None``: not kept.
    request: str | None
    response: str | None


@dataclass(frozen=True)
class Filter:
    """Which calls; what is empty or ``None`` matches all."""

    since: datetime | None = None
    until: datetime | None = None
    principal: str = ""
    method: str = ""
    #: The whole name of a tool, a prompt or a resource.
    target: str = ""
    #: A part of it, in any case.
    text: str = ""
    outcome: Outcome | None = None
    #: First digit of the HTTP status.
    status_class: int | None = None
    error_class: str = ""
    min_duration_ms: float = 0


@dataclass(frozen=True)
class Page:
    """Some calls, newest first."""

    items: list[Invocation]
    #: Where to go on; ``None``: there is no more.
    next: Cursor | None


@dataclass(frozen=True)
class Figures:
    """What calls of one kind were like."""

    #: Empty, as the target, for the sum of all.
    method: str
    target: str
    calls: int
    errors: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @property
    def error_rate(self) -> float:
        """Errors among the calls, from 0 to 1."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True)
class Summary:
    """What the calls of a window were like."""

    since: datetime
    until: datetime
    total: Figures
    #: The most called first.
    tools: list[Figures]
    #: Only so many of the newest calls were looked at; ``None``: all of them.
    sample: int | None
