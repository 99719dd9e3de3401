"""One ``subscriptions/listen`` for everybody who listens to a server of the modern era."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers import speech
from appliance.gateway.bridge.peers.flight import code_of, fields_of, value_of
from appliance.gateway.bridge.traffic import OURSELVES
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

log = structlog.get_logger("gateway.peers")

#: Resources that somebody wants to hear of; further ones are refused.
RESOURCES_LIMIT = 1_000
RETRY_S = 1.0
LONGEST_RETRY_S = 30.0


class Line(Protocol):
    """Carries requests that are worded in the modern era's way."""

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once."""
        ...

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        ...

    async def close(self) -> None:
        """Let go of the server."""
        ...


class Listening:
    """Who listens, to what, and the server's one stream for them all."""

    def __init__(self, line: Line) -> None:
        """Listen to nothing yet."""
        self._line = line
        self._capabilities: Mapping[str, Any] = {}
        self._streams: set[Stream] = set()
        self._resources: dict[str, set[Caller]] = {}
        self._heard: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def announce(self, capabilities: Mapping[str, Any]) -> None:
        """Take note of what the server can tell."""
        self._capabilities = capabilities

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server tells everybody, and of the resources that ``caller`` subscribed to."""
        stream = Stream(caller)
        self._streams.add(stream)
        self._follow()
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._streams.discard(stream)
        self._follow()

    def subscribe(self, caller: Caller, uri: str) -> bool:
        """Let ``caller`` hear of a resource; ``False``: too many are watched already."""
        if uri not in self._resources and len(self._resources) >= RESOURCES_LIMIT:
            return False
        self._resources.setdefault(uri, set()).add(caller)
        self._follow()
        return True

    def unsubscribe(self, caller: Caller, uri: str) -> None:
        """Let ``caller`` hear of a resource no more."""
        callers = self._resources.get(uri, set())
        callers.discard(caller)
        if not callers:
            self._resources.pop(uri, None)
        self._follow()

    def end(self, caller: Caller) -> None:
        """Close the streams and forget the subscriptions of ``caller``."""
        for stream in [item for item in self._streams if item.caller == caller]:
            stream.close()
        for uri in [uri for uri, who in self._resources.items() if caller in who]:
            self.unsubscribe(caller, uri)

    async def ready(self, within_s: float) -> None:
        """Wait until the server has heard what is wanted, or ``within_s`` seconds have passed."""
        if self._task is not None and not self._task.done():
            try:
                async with asyncio.timeout(within_s):
                    await self._ready.wait()
            except TimeoutError:
                log.info("listening_not_acknowledged")

    def close_streams(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.close()

    async def close(self) -> None:
        """Stop listening."""
        self.close_streams()
        self._streams.clear()
        self._follow()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _wanted(self) -> dict[str, Any]:
        """Return what the server is to be asked for; nothing as long as nobody could hear it."""
        if not self._streams:
            return {}
        wanted: dict[str, Any] = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if isinstance(self._capabilities.get(kind), dict)
            and self._capabilities[kind].get("listChanged")
        }
        if self._resources:
            wanted["resourceSubscriptions"] = sorted(self._resources)
        return wanted

    def _follow(self) -> None:
        """Ask the server anew when what is wanted has changed; the old stream ends when the new one has begun."""
        wanted = self._wanted()
        if wanted == self._heard:
            return
        self._heard, before = wanted, self._task
        self._ready = asyncio.Event()
        if wanted:
            self._task = asyncio.create_task(self._listen(wanted, self._ready, before))
        elif before is not None:
            before.cancel()
            self._task = None

    async def _listen(
        self,
        wanted: Mapping[str, Any],
        ready: asyncio.Event,
        before: asyncio.Task[None] | None,
    ) -> None:
        wait_s = RETRY_S
        try:
            while True:
                try:
                    if not await self._hear(wanted, ready, before):
                        return
                except DomainError as error:
                    log.info("listening_failed", code=error.code, reason=error.reason)
                if ready.is_set():
                    wait_s = RETRY_S
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_RETRY_S)
        finally:
            if before is not None:
                before.cancel()

    async def _hear(
        self,
        wanted: Mapping[str, Any],
        ready: asyncio.Event,
        before: asyncio.Task[None] | None,
    ) -> bool:
        """Listen until the server ends the stream; return whether it can tell anything at all."""
        meta = speech.meta_of(OURSELVES, None)
        request = speech.request(speech.LISTEN, {"notifications": wanted}, meta)
        call = await self._line.begin(request, OURSELVES)
        try:
            while True:
                for note in call.take_notes():
                    self._spread(wire.decode_line(note), ready)
                    if before is not None and ready.is_set():
                        before.cancel()
                if call.is_over:
                    break
                await call.news()
        finally:
            self._line.abandon(call)
        if call.error is not None:
            raise call.error
        return call.answer is None or code_of(call.answer) is None

    def _spread(self, note: Envelope, ready: asyncio.Event) -> None:
        if note.method == "notifications/subscriptions/acknowledged":
            ready.set()
            return
        if ready is not self._ready and self._ready.is_set():
            return  # the successor has it too
        body = speech.untagged(note)
        if note.method == "notifications/resources/updated":
            uri = value_of(fields_of(note.params).get("uri"))
            who = self._resources.get(uri, set()) if isinstance(uri, str) else set()
            for stream in list(self._streams):
                if stream.caller in who:
                    stream.put(body)
        elif str(note.method).endswith("/list_changed"):
            for stream in list(self._streams):
                stream.put(body)
