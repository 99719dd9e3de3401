"""How much of a window a server was well, from its history. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from appliance.servers.health.model import StatusChange

#: What counts as up: clients are answered.
_UP = frozenset({"running"})
#: What counts as down. The others are wanted (stopped) or on the way (building, starting), and count for neither.
_DOWN = frozenset({"degraded", "error"})


@dataclass(frozen=True)
class Span:
    """A time in which the status stayed the same."""

    status: str
    reason: str
    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True)
class Uptime:
    """A window as spans without a gap, oldest first."""

    since: datetime
    until: datetime
    spans: tuple[Span, ...]
    #: Of the time in which it was either up or down, 0 to 1; ``None``: it was neither.
    share: float | None


def uptime(changes: Sequence[StatusChange], since: datetime, until: datetime) -> Uptime:
    """Return what a window was like.

    Args:
        changes: Oldest first; the last one before the window among them, if there was one.
        since: Where the window begins.
        until: Where it ends: now.
    """
    spans: list[Span] = []
    for change in changes:
        begin = max(change.at, since)
        if spans:
            spans[-1] = replace(spans[-1], until=max(spans[-1].since, begin))
        # A new reason for the same status begins nothing new.
        if spans and spans[-1].status == change.after:
            spans[-1] = replace(spans[-1], reason=change.reason, until=until)
        else:
            spans.append(Span(change.after, change.reason, begin, until))
    kept = tuple(span for span in spans if span.seconds > 0)
    up = sum(span.seconds for span in kept if span.status in _UP)
    down = sum(span.seconds for span in kept if span.status in _DOWN)
    share = up / (up + down) if up + down else None
    return Uptime(since, until, kept, share)


def strip(found: Uptime, parts: int) -> list[tuple[str, Span | None]]:
    """Return the window in equal parts, each with the worst that happened in it and the span that it is from."""
    step = (found.until - found.since) / parts
    cells: list[tuple[str, Span | None]] = []
    for part in range(parts):
        begin = found.since + step * part
        within = [
            span
            for span in found.spans
            if span.since < begin + step and span.until > begin
        ]
        worst = min(within, key=_badness, default=None)
        cells.append((worst.status if worst else "none", worst))
    return cells


def _badness(span: Span) -> int:
    order = ("error", "degraded", "stopping", "stopped", "starting")
    if span.status in order:
        return order.index(span.status)
    return len(order) + (1 if span.status in _UP else 0)
