"""Serve ``subscriptions/listen`` of clients whose every request stands alone."""

import asyncio
import contextlib
import secrets
from dataclasses import replace

from msgspec import UNSET, Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Ask, Caller
from appliance.gateway.bridge.fronts.streams import Streams
from appliance.gateway.bridge.fronts.subscriptions import honoured
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.modern import Modern
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route

#: Seconds that a server has to say that it will tell of a resource.
SUBSCRIBED_WITHIN_S = 5.0


class Listening:
    """Everybody who listens."""

    def __init__(self, peers: Peers, streams: Streams) -> None:
        """Have nobody."""
        self._peers = peers
        self._streams = streams
        self._leaving: set[asyncio.Task[None]] = set()

    async def serve(
        self, request: http.Request, asked: Modern, caller: Caller, route: Route
    ) -> http.Answer:
        """Tell ``caller`` what it wants to hear of, until it hangs up.

        Raises:
            DomainError: The server cannot be had.
        """
        listener = replace(caller, listener=secrets.token_hex(8))
        with contextlib.ExitStack() as lease:
            peer = lease.enter_context(self._peers.leased(route))
            wanted = honoured(
                wire.id_of(asked.request), asked.wanted, await peer.opened()
            )
            with self._streams.opened(peer, listener) as stream:
                try:
                    taken = await asyncio.gather(
                        *(_subscribed(peer, listener, uri) for uri in wanted.uris)
                    )
                    heard = zip(wanted.uris, taken, strict=True)
                    granted = replace(
                        wanted, uris=tuple(uri for uri, ok in heard if ok)
                    )
                    return await self._streams.sent(
                        request,
                        stream,
                        granted.shown,
                        _refuse,
                        first=granted.acknowledgement,
                        last=granted.ending,
                    )
                finally:
                    self._leave(peer, listener, wanted.uris, lease.pop_all())

    def _leave(
        self,
        peer: Peer,
        listener: Caller,
        uris: tuple[str, ...],
        lease: contextlib.ExitStack,
    ) -> None:
        """End subscriptions, although the one who listened is gone already."""

        async def leave() -> None:
            with lease, contextlib.suppress(DomainError):
                for uri in uris:
                    await _asked(peer, listener, "resources/unsubscribe", uri)
                peer.end_session(listener)

        task = asyncio.create_task(leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _subscribed(peer: Peer, listener: Caller, uri: str) -> bool:
    """Return whether the server tells of a resource from now on."""
    answer = await _asked(peer, listener, "resources/subscribe", uri)
    return answer is not None and answer.error is UNSET


async def _asked(peer: Peer, caller: Caller, method: str, uri: str) -> Envelope | None:
    """Return what the server answers; ``None``: nothing in time, or it is gone."""
    params = Raw(wire.encode({"uri": uri}))
    request = Envelope(id=Raw(b"0"), method=method, params=params)
    call = await peer.begin(request, caller)
    try:
        async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
            while not call.is_over:
                await call.news()
    except TimeoutError:
        return None
    finally:
        peer.abandon(call)
    return call.answer


def _refuse(ask: Ask) -> None:
    ask.refuse(
        wire.INVALID_REQUEST, "Clients without a session are asked in calls only."
    )
