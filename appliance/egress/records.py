"""What servers tried and what became of it, added up until it is written. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

#: Names below one domain that are told apart; more of them are a tunnel, or a list of no use to anybody.
NAMES_BELOW = 8
#: Destinations of one server that are told apart in a process's life.
DESTINATIONS = 300
ELSEWHERE = "elsewhere"
_LABELS = 2


@dataclass(frozen=True)
class Attempt:
    """Where a server wanted to go."""

    server: int
    destination: str
    #: 0: there is none, or it only asked for the name.
    port: int
    #: ``tcp``, ``udp``, ``icmp``, ``dns``, …
    protocol: str
    allowed: bool


@dataclass
class Tally:
    """How often, and when."""

    first: datetime
    last: datetime
    reason: str = ""
    attempts: int = 0
    sent: int = 0
    received: int = 0


@dataclass
class Records:
    """Bounded whatever servers do."""

    tallies: dict[Attempt, Tally] = field(default_factory=dict)
    _known: dict[int, set[tuple[str, int, str]]] = field(default_factory=dict)
    _below: dict[tuple[int, str], set[str]] = field(default_factory=dict)

    def add(
        self,
        attempt: Attempt,
        *,
        reason: str = "",
        attempts: int = 1,
        sent: int = 0,
        received: int = 0,
        at: datetime | None = None,
    ) -> None:
        """Count one more."""
        attempt = self._bounded(attempt)
        moment = at or datetime.now(UTC)
        tally = self.tallies.setdefault(attempt, Tally(moment, moment))
        tally.last = moment
        tally.reason = reason or tally.reason
        tally.attempts += attempts
        tally.sent += sent
        tally.received += received

    def take(self) -> dict[Attempt, Tally]:
        """Return what was counted since the last time."""
        found, self.tallies = self.tallies, {}
        return found

    def put_back(self, tallies: Iterable[tuple[Attempt, Tally]]) -> None:
        """Count again what could not be written."""
        for attempt, tally in tallies:
            now = self.tallies.setdefault(attempt, Tally(tally.first, tally.last))
            now.first = min(now.first, tally.first)
            now.reason = now.reason or tally.reason
            now.attempts += tally.attempts
            now.sent += tally.sent
            now.received += tally.received

    def forget(self, servers: Iterable[int]) -> None:
        """Drop what is remembered of servers that are gone."""
        for server in servers:
            self._known.pop(server, None)
            for key in [item for item in self._below if item[0] == server]:
                del self._below[key]

    def _bounded(self, attempt: Attempt) -> Attempt:
        name = attempt.destination
        if attempt.protocol == "dns" and not attempt.allowed:
            name = self._gathered(attempt.server, name)
        known = self._known.setdefault(attempt.server, set())
        key = (name, attempt.port, attempt.protocol)
        if key not in known and len(known) >= DESTINATIONS:
            name, key = ELSEWHERE, (ELSEWHERE, 0, attempt.protocol)
        known.add(key)
        return Attempt(attempt.server, name, key[1], attempt.protocol, attempt.allowed)

    def _gathered(self, server: int, name: str) -> str:
        """Return the name, or the domain of which too many were asked."""
        labels = name.split(".")
        if len(labels) <= _LABELS:
            return name
        domain = ".".join(labels[-_LABELS:])
        names = self._below.setdefault((server, domain), set())
        if name in names:
            return name
        if len(names) >= NAMES_BELOW:
            return f"*.{domain}"
        names.add(name)
        return name
