"""Find out how a server behind HTTP speaks, by asking it.

The installed base opens with ``initialize``, so that is asked first; then ``server/discover``, for servers of the stateless
revision and for those that know both; and what knows neither may be a server of HTTP+SSE, which says so on its stream.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from appliance.core.errors import DomainError
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.hello import Hello
from appliance.gateway.bridge.peers.http_modern import HttpLine
from appliance.gateway.bridge.peers.http_session import HttpSession
from appliance.gateway.bridge.peers.modern import discover
from appliance.gateway.bridge.peers.session import Session
from appliance.gateway.bridge.peers.sse_session import SseSession
from appliance.gateway.errors import (
    HandshakeError,
    NotRunningError,
    SigninNeededError,
    SilentServerError,
    TokenNotRenewedError,
    UpstreamUnauthorizedError,
)

log = structlog.get_logger("gateway.peers")

HTTP, SSE = "streamable-http", "sse"
LEGACY, MODERN = "legacy", "modern"
#: A server that answered ``initialize`` should answer the second question soon, or does not understand it.
SECOND_WITHIN_S = 3.0
#: Where servers are asked that run here and were not said to be elsewhere, and where those of HTTP+SSE are by custom.
CUSTOMARY_PATH, SSE_PATH = "/mcp", "/sse"


@dataclass(frozen=True)
class Finding:
    """How a server speaks."""

    transport: str
    eras: tuple[str, ...]
    #: What it said of itself.
    opened: Mapping[str, Any]
    #: Where it answered.
    door: Door


async def detect(door: Door, within_s: float) -> Finding:
    """Return how the server behind ``door`` speaks.

    Args:
        within_s: Seconds in which it must have answered each question.

    Raises:
        DomainError: It does not answer, or nothing that is understood here.
    """
    if door.route.transport == SSE:
        return await _http_sse(door, within_s)
    eras: list[str] = []
    opened: Mapping[str, Any] = {}
    refusal: DomainError | None = None
    try:
        session = HttpSession(door, Hello(), within_s, listens=False)
        opened = await _opened(session)
        eras.append(LEGACY)
    except (
        NotRunningError,
        SilentServerError,
        SigninNeededError,
        TokenNotRenewedError,
    ):
        raise
    except DomainError as error:
        refusal = error
    modern = await _asked_for_modern(door, within_s, is_known=bool(eras))
    if modern is not None:
        opened = opened or modern
        eras.append(MODERN)
    if refusal is None or eras:
        return Finding(HTTP, tuple(eras), opened, door)
    for other in _doors_of_sse(door):
        with contextlib.suppress(DomainError):
            return await _http_sse(other, within_s)
    raise refusal


async def _asked_for_modern(
    door: Door, within_s: float, *, is_known: bool
) -> Mapping[str, Any] | None:
    """Return what a server of the stateless revision says of itself; ``None``: it is none.

    Raises:
        UpstreamUnauthorizedError: It asks who calls before it says anything, and speaks no other way either.
        SigninNeededError: So it does, and that was known.
    """
    try:
        return await _discovered(door, SECOND_WITHIN_S if is_known else within_s)
    except (SigninNeededError, UpstreamUnauthorizedError):
        if not is_known:
            raise
    except DomainError as error:
        log.debug("not_modern", server=door.route.name, code=error.code)
    return None


def _doors_of_sse(door: Door) -> list[Door]:
    """Return where a server that does not speak streamable HTTP may have its stream; an address that was given is final."""
    is_ours = door.route.container_id and door.route.address.endswith(CUSTOMARY_PATH)
    return [door, door.at(SSE_PATH)] if is_ours else [door]


async def _http_sse(door: Door, within_s: float) -> Finding:
    opened = await _opened(SseSession(door, Hello(), within_s))
    return Finding(SSE, (LEGACY,), opened, door)


async def _opened(session: Session) -> Mapping[str, Any]:
    """Return what the server says when it is opened; the session is ended again."""
    try:
        return await session.opened()
    finally:
        await session.close()


async def _discovered(door: Door, within_s: float) -> Mapping[str, Any]:
    line = HttpLine(door)
    try:
        async with asyncio.timeout(within_s):
            return await discover(line)
    except TimeoutError as error:
        raise HandshakeError("The server did not answer server/discover.") from error
    finally:
        await line.close()
