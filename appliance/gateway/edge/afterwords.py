"""What clients still say to an instance that is left: answers to what it asked, and cancellations of calls that go on there.

A client has one session and does not know that behind it two instances work for a while: its requests go to the new one. What
is no request may be meant for either, so the old one gets a copy; the one that it means nothing to passes it over.
"""

import asyncio
import contextlib
from typing import Final

from multidict import CIMultiDict

from appliance.gateway.edge.eras import Eras
from appliance.gateway.edge.reading import Message
from appliance.gateway.http.messages import SESSION_HEADER
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route, RoutingTable

PASS_WITHIN_S: Final = 5.0
_PASSING: set[asyncio.Task[None]] = set()


def left_by(route: Route, table: RoutingTable | None) -> Route | None:
    """Return the instance from which ``route`` has taken over and where calls go on; ``None``: there is none."""
    if table is None or not table.beside or route.is_leaving:
        return None
    left = [
        item
        for item in table.beside.values()
        if item.is_leaving and item.server_id == route.server_id
    ]
    return max(left, key=lambda item: item.instance_id or 0, default=None)


def is_request(message: Message) -> bool:
    """Whether a message wants an answer."""
    return bool(message.method) and bytes(message.id) != wire.NULL


def pass_on(
    upstreams: Upstreams,
    eras: Eras,
    left: Route,
    *,
    headers: CIMultiDict[str],
    session: str,
    body: bytes,
) -> None:
    """Send a copy to the instance that is left; what comes of it nobody waits for."""
    onward = headers.copy()
    onward[SESSION_HEADER] = eras.session(left, session)
    task = asyncio.create_task(_pass(upstreams, left, onward, body))
    _PASSING.add(task)
    task.add_done_callback(_PASSING.discard)


async def _pass(
    upstreams: Upstreams, left: Route, headers: CIMultiDict[str], body: bytes
) -> None:
    with contextlib.suppress(OSError):  # TimeoutError is one
        async with (
            asyncio.timeout(PASS_WITHIN_S),
            await upstreams.request(left, "POST", headers, body) as answer,
        ):
            await answer.read()
