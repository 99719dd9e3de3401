"""What members say that belongs to no call, merged into the streams of a bundle's clients."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from appliance.core.errors import DomainError
from appliance.gateway.bridge.bundles.link import Link
from appliance.gateway.bridge.calls import Ask, Caller, Stream
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Seconds between looks at who the members are and which instances serve them, while somebody listens.
WATCH_EVERY_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

#: Renders what a member says for one caller.
Show = Callable[[Link, Caller, bytes], bytes]
_Followed = tuple[Link, int | None]


class Streams:
    """The open streams of one bundle.

    Args:
        links: Returns the members of now.
        changes: Returns the notifications that tell of a changed bundle.
        show: Renders a message.
    """

    def __init__(
        self,
        links: Callable[[], Iterable[Link]],
        changes: Callable[[], Iterable[Envelope]],
        show: Show,
    ) -> None:
        """Have no stream open."""
        self._links = links
        self._changes = changes
        self._show = show
        self._open: dict[Stream, dict[_Followed, asyncio.Task[None]]] = {}
        self._watching: asyncio.Task[None] | None = None

    def open(self, caller: Caller) -> Stream:
        """Return a new stream that hears every member."""
        stream = Stream(caller)
        self._open[stream] = {}
        self._adjust(stream, self._now())
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return stream

    def close(self, stream: Stream) -> None:
        """Forget ``stream``."""
        for task in self._open.pop(stream, {}).values():
            task.cancel()

    def end_session(self, caller: Caller) -> None:
        """End the streams of a session."""
        for stream in list(self._open):
            if stream.caller == caller:
                stream.close()

    def close_all(self) -> None:
        """End every stream."""
        for stream in list(self._open):
            stream.close()
            self.close(stream)
        if self._watching is not None:
            self._watching.cancel()

    def _now(self) -> frozenset[_Followed]:
        return frozenset((link, link.instance) for link in self._links())

    async def _watch(self) -> None:
        """Follow members that come and go; who may not be heard any more is not."""
        known = self._now()
        while self._open:
            await asyncio.sleep(WATCH_EVERY_S)
            now = self._now()
            if now == known:
                continue
            known = now
            for stream in list(self._open):
                self._adjust(stream, now)
                self._announce(stream)

    def _adjust(self, stream: Stream, now: frozenset[_Followed]) -> None:
        followed = self._open[stream]
        for gone in followed.keys() - now:
            followed.pop(gone).cancel()
        for link, instance in now - followed.keys():
            if instance is not None:
                task = asyncio.create_task(self._follow(stream, link))
                followed[link, instance] = task

    async def _follow(self, stream: Stream, link: Link) -> None:
        pause_s = 0.0
        while True:
            try:
                with link.leased(stream.caller.principal) as peer:
                    await link.open(peer)
                    if pause_s:
                        self._announce(stream)
                    inner = peer.open_stream(stream.caller)
                    pause_s = 0.0
                    try:
                        await self._pump(link, inner, stream)
                    finally:
                        peer.close_stream(inner)
            except DomainError:  # calls tell why; here it is only waited for
                pass
            pause_s = min(max(FIRST_PAUSE_S, pause_s * 2), LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _pump(self, link: Link, inner: Stream, outer: Stream) -> None:
        while (item := await inner.get()) is not None:
            if isinstance(item, Ask):
                outer.put(item)
            else:
                outer.put(self._show(link, outer.caller, item))

    def _announce(self, stream: Stream) -> None:
        for message in self._changes():
            stream.put(wire.encode(message))


def updated_uri(body: bytes) -> str | None:
    """Return which resource a notification says was updated; ``None``: it says something else."""
    if b"notifications/resources/updated" not in body:
        return None
    try:
        message = msgspec.json.decode(body)
        uri = message["params"]["uri"]
    except (msgspec.DecodeError, LookupError, TypeError):
        return None
    return uri if isinstance(uri, str) else None
