"""The two ways in which a client waits for what a server says: a call, and an open stream."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw, UnsetType

from appliance.core.errors import DomainError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Messages that may wait for a slow reader: then its stream is closed, and of a call's notifications the newest are dropped.
WAITING_LIMIT = 512


@dataclass(frozen=True)
class Caller:
    """On whose behalf a message came."""

    principal: str
    #: Empty for a client without a session.
    session: str = ""
    #: What the client can be asked for (``sampling``, ``elicitation``, ``roots``), in the words of its ``initialize``.
    capabilities: Mapping[str, Any] = field(default_factory=dict, compare=False)
    #: Who the client says it is: ``name`` and ``version``.
    client_info: Mapping[str, Any] = field(default_factory=dict, compare=False)
    #: The revision that the client speaks; empty: not known.
    revision: str = field(default="", compare=False)
    #: The least level of log messages that a call without a session wants; empty: none.
    log_level: str = field(default="", compare=False)
    #: Of one subscription of a client without a session, so that it hears of its own resources alone.
    listener: str = ""


@dataclass(eq=False)
class Ask:
    """A request of the server's that its client is to answer: sampling, elicitation, roots."""

    #: Unguessable; under this name the client sees it, and answers.
    key: str
    method: str
    params: Raw | UnsetType
    #: Called once, with the client's result or error, or with an error of ours when no answer will come.
    reply: Callable[[Envelope], None]

    def refuse(self, code: int, message: str, data: Any = None) -> None:
        """Answer with an error of ours."""
        error = {"code": code, "message": message} | ({"data": data} if data else {})
        self.reply(Envelope(error=Raw(wire.encode(error))))


@dataclass(eq=False)
class Call:
    """One request in flight."""

    caller: Caller
    #: The client's own id and progress token. Both change when a client without a session comes back with what it was
    #: asked for.
    client_id: bytes
    method: str
    #: Ours, as it stands on the wire, quotes included.
    wire_id: bytes
    token: Raw | None
    #: Notifications that belong to the call, ready to be sent.
    notes: list[bytes] = field(default_factory=list)
    #: What the server wants to know before it goes on, and nobody was asked yet.
    asks: list[Ask] = field(default_factory=list)
    answer: Envelope | None = None
    error: DomainError | None = None
    #: Which member of a bundle it went to; 0: none, or it is no bundle.
    server_id: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Whether an answer, or the reason why none will come, is there."""
        return self.answer is not None or self.error is not None

    async def news(self, *, within_s: float | None = None) -> None:
        """Wait until a note or an ask has come, the call is over, or ``within_s`` seconds have passed."""
        if within_s is None:
            await self._changed.wait()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._changed.wait()
        self._changed.clear()

    def answer_body(self) -> bytes:
        """Return what the client is told at the end, as JSON-RPC."""
        if self.answer is not None:
            return wire.answer_body(self.client_id, self.answer)
        reason = self.error.reason if self.error else "The call is not over."
        return wire.error_body(self.client_id, wire.BROKEN, reason)

    def take_notes(self) -> list[bytes]:
        """Return the notes that came and forget them."""
        notes, self.notes = self.notes, []
        return notes

    def take_asks(self) -> list[Ask]:
        """Return the asks that came and forget them."""
        asks, self.asks = self.asks, []
        return asks

    def ask(self, ask: Ask) -> None:
        """Add a request of the server's."""
        self.asks.append(ask)
        self._changed.set()

    def withdraw(self, key: str, reason: str = "") -> None:
        """Take back what was asked under ``key``: the server does not want to know any more."""
        left = [ask for ask in self.asks if ask.key != key]
        if len(left) == len(self.asks):
            self.note(cancellation(key, reason))
        self.asks = left

    def note(self, body: bytes) -> None:
        """Add a notification, unless too many wait."""
        if len(self.notes) < WAITING_LIMIT:
            self.notes.append(body)
            self._changed.set()

    def finish(
        self, answer: Envelope | None = None, error: DomainError | None = None
    ) -> None:
        """End the call; what ends it first counts."""
        if not self.is_over:
            self.answer, self.error = answer, error
            self._changed.set()


class Stream:
    """A client's open stream of what belongs to no call."""

    def __init__(self, caller: Caller) -> None:
        """Start empty."""
        self.caller = caller
        self._queue: asyncio.Queue[bytes | Ask | None] = asyncio.Queue(WAITING_LIMIT)
        self._is_closed = False

    def put(self, item: bytes | Ask) -> None:
        """Send ``item``; a reader that is too slow loses the stream, and knows it, instead of single messages."""
        if self._queue.full():
            self.close()
        if not self._is_closed:
            self._queue.put_nowait(item)
        elif isinstance(item, Ask):
            item.refuse(wire.INVALID_REQUEST, "The client went away.")

    def withdraw(self, key: str, reason: str = "") -> None:
        """Tell the client that the server does not want to know any more what it asked under ``key``."""
        self.put(cancellation(key, reason))

    def close(self) -> None:
        """End the stream after what is queued."""
        self._is_closed = True
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def get(self) -> bytes | Ask | None:
        """Return the next message; ``None`` at the end."""
        if self._is_closed and self._queue.empty():
            return None
        return await self._queue.get()


def opens_addresses(caller: Caller) -> bool:
    """Return whether a client of 2025-11-25 opens addresses for its person."""
    elicitation = caller.capabilities.get("elicitation")
    return isinstance(elicitation, Mapping) and "url" in elicitation


def cancellation(key: str, reason: str = "") -> bytes:
    """Return the notification that takes back the request that the client knows as ``key``."""
    params = {"requestId": key} | ({"reason": reason} if reason else {})
    return wire.encode(
        Envelope(method="notifications/cancelled", params=Raw(wire.encode(params)))
    )
