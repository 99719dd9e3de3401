"""The open streams of what belongs to no call."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from appliance.gateway.bridge.calls import Ask, Caller, Stream
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire

#: Returns something as the client sees it; ``None``: it is not for it.
ShowNote = Callable[[bytes], bytes | None]
ShowAsk = Callable[[Ask], bytes | None]


class Streams:
    """All of them, so that they can be ended when the bridge stops."""

    def __init__(self) -> None:
        """Have none."""
        self._open: set[Stream] = set()

    @contextlib.contextmanager
    def opened(self, peer: Peer, caller: Caller) -> Iterator[Stream]:
        """Open a stream at ``peer`` for as long as one is inside."""
        stream = peer.open_stream(caller)
        self._open.add(stream)
        try:
            yield stream
        finally:
            self._open.discard(stream)
            peer.close_stream(stream)

    def end(self) -> None:
        """End every stream; their clients open them again."""
        for stream in list(self._open):
            stream.close()

    async def sent(
        self,
        request: http.Request,
        stream: Stream,
        note: ShowNote,
        ask: ShowAsk,
        *,
        first: bytes | None = None,
        last: bytes | None = None,
    ) -> http.Answer:
        """Send what comes on ``stream``; ``first`` before, and ``last`` when it ends on our side."""
        response = await http.event_stream(request)
        # A client that went away is how streams end.
        with contextlib.suppress(ConnectionError):
            async with http.keep_alive(response):
                if first is not None:
                    await response.write(wire.sse_event(first))
                async for body in shown(stream, note, ask):
                    await response.write(wire.sse_event(body))
                if last is not None:
                    await response.write(wire.sse_event(last))
        return response


async def shown(stream: Stream, note: ShowNote, ask: ShowAsk) -> AsyncIterator[bytes]:
    """Yield what comes on ``stream`` as the client sees it, up to its end."""
    while (item := await stream.get()) is not None:
        body = ask(item) if isinstance(item, Ask) else note(item)
        if body is not None:
            yield body
