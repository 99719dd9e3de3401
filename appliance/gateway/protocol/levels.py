"""Who wants to hear which log messages of a server that knows one level only. Pure."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.protocol import wire

LEVELS = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
#: Clients whose level is remembered; beyond it the oldest is forgotten.
KEPT = 10_000


def reaches(level: object, least: object) -> bool:
    """Whether a message of ``level`` is for somebody who wants ``least`` and above."""
    if level not in LEVELS or least not in LEVELS:
        return False
    return LEVELS.index(str(level)) >= LEVELS.index(str(least))


class LogLevels:
    """The levels that clients asked for.

    A server that several share is set to the lowest of them; each then hears what reaches its own.
    """

    def __init__(self) -> None:
        """Know of nobody."""
        self._least: dict[object, str] = {}
        self._floor: str | None = None

    def set(self, client: object, params: Raw | UnsetType) -> Raw | UnsetType:
        """Remember what ``client`` says in ``logging/setLevel``; return what the server is to be told."""
        level = _field(params, "level")
        if level not in LEVELS:
            return params  # the server says what is wrong with it
        if len(self._least) >= KEPT and client not in self._least:
            del self._least[next(iter(self._least))]
        self._least[client] = str(level)
        return _params(self._lowest())

    def lower(self, level: str) -> Raw | None:
        """Return what the server must be told so that a call which wants ``level`` gets it; ``None``: nothing."""
        if level not in LEVELS:
            return None
        before = self._lowest() if self._least or self._floor else None
        if before is not None and reaches(level, before):
            return None
        self._floor = level
        return _params(level)

    def wants(self, client: object, params: Raw | UnsetType) -> bool:
        """Whether a ``notifications/message`` is for ``client``; whoever never said gets all."""
        least = self._least.get(client)
        return least is None or reaches(_field(params, "level"), least)

    def forget(self, client: object) -> None:
        """Forget a client that is gone."""
        self._least.pop(client, None)

    def now(self) -> Raw | None:
        """Return what a server that was opened anew is to be told, if anybody asked for a level."""
        return _params(self._lowest()) if self._least or self._floor else None

    def _lowest(self) -> str:
        asked = [*self._least.values(), *([self._floor] if self._floor else [])]
        return min(asked, key=LEVELS.index)


def _params(level: str) -> Raw:
    return Raw(wire.encode({"level": level}))


def _field(params: Raw | UnsetType, name: str) -> Any:
    try:
        fields = msgspec.json.decode(b"{}" if params is UNSET else params)
    except msgspec.DecodeError:
        return None
    return fields.get(name) if isinstance(fields, dict) else None
