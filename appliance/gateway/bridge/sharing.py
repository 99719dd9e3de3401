"""Who gets a container of their own at a stdio server, and who has to go when there is no room. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.errors import SessionsFullError, TooManySessionsError

SHARED, PER_SESSION = "shared", "per-session"
#: What a server can ask of a client, as clients announce it.
_EVERYTHING: dict[str, Any] = {
    "sampling": {},
    "elicitation": {"form": {}, "url": {}},
    "roots": {},
}
#: The hub looks at what a server offers; it needs no session, and nobody's state.
_HUB = "hub"
RETRY_AFTER_S = 5


@dataclass(frozen=True)
class Sharing:
    """Which sessions of one server may have containers, how many, and for how long.

    Args:
        mode: ``shared``, ``per-session`` or ``auto``.
        per_server: Containers of sessions, beside the instance's own.
        per_principal: Of these, those of one principal.
        idle_s: Seconds after which an unused one is ended.
    """

    mode: str
    per_server: int
    per_principal: int
    idle_s: float


@dataclass(frozen=True)
class Housed:
    """One session with a container."""

    key: str
    principal: str
    #: Calls are in flight, or wait for the container to start.
    is_busy: bool
    #: On a clock that only goes forward, in seconds.
    last_used: float


def gets_own(mode: str, caller: Caller, *, server_asks: bool) -> bool:
    """Tell whether ``caller`` gets a container, in a server's ``session_mode``.

    A client without a session says at every call anew what it can be asked; its calls stay together whatever they say.

    Args:
        server_asks: The server is known to ask its clients things.
    """
    if mode == SHARED or caller.principal == _HUB:
        return False
    may_be_asked = not caller.session or can_answer(caller)
    return mode == PER_SESSION or (server_asks and may_be_asked)


def opened_for(caller: Caller) -> Caller:
    """Return in whose name the caller's own container is opened.

    A session's client has said for good what it can be asked. For one without, everything is announced, and what a call's
    client cannot answer is refused call by call.
    """
    return caller if caller.session else replace(caller, capabilities=_EVERYTHING)


def can_answer(caller: Caller) -> bool:
    """Tell whether the client can be asked anything."""
    return not _EVERYTHING.keys().isdisjoint(caller.capabilities)


def who_goes(housed: Iterable[Housed], principal: str, bounds: Sharing) -> str | None:
    """Return whose container is ended to make room for one more of ``principal``; ``None``: there is room.

    Raises:
        TooManySessionsError: The principal has its share, and all of it is busy.
        SessionsFullError: Others have all there is.
    """
    present = list(housed)
    mine = [item for item in present if item.principal == principal]
    has_share = len(mine) >= bounds.per_principal
    if not has_share and len(present) < bounds.per_server:
        return None
    idle = [item for item in mine if not item.is_busy]
    if idle:
        return min(idle, key=lambda item: item.last_used).key
    if has_share:
        raise TooManySessionsError(
            f"{len(mine)} sessions of this key are busy at the server, and it may have no more at once.",
            retry_after_s=RETRY_AFTER_S,
            hint="End one of them, or wait for its call. GW_SESSIONS_PER_PRINCIPAL sets the number.",
        )
    raise SessionsFullError(
        f"The server runs {len(present)} containers for sessions of others, and may run no more.",
        hint="Try again later. GW_SESSIONS_PER_SERVER sets the number.",
    )
