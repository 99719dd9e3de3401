"""The calls, questions and streams of one session at a server: who gets what it says. Knows no sockets."""

from collections.abc import Callable

from msgspec import UNSET, Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.belongings import Belongings
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers.asks import Asks
from appliance.gateway.bridge.peers.flight import Flight
from appliance.gateway.bridge.peers.wishes import Wishes
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

_CHANGES = ("/list_changed", "notifications/resources/updated")


class Conversation:
    """What is going on in one session.

    Args:
        send: Brings an answer to a question of the server's to the server.
    """

    def __init__(self, send: Callable[[Envelope], None]) -> None:
        """Know of nothing yet."""
        self.flight = Flight()
        self.wishes = Wishes()
        #: Whose tasks are whose, at the whole server.
        self.belongings = Belongings()
        self._asks = Asks(send)
        self._streams: set[Stream] = set()

    @property
    def has_calls(self) -> bool:
        """Whether a call is in flight."""
        return bool(len(self.flight))

    @property
    def has_streams(self) -> bool:
        """Whether somebody listens."""
        return bool(self._streams)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what belongs to no call."""
        stream = Stream(caller)
        self._streams.add(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._streams.discard(stream)

    def close_streams(self, caller: Caller | None = None) -> None:
        """End every stream, or those of ``caller``."""
        for stream in self._streams:
            if caller is None or stream.caller == caller:
                stream.close()

    def refusal(self, request: Envelope, caller: Caller) -> Envelope | None:
        """Return what ``caller`` is told that must not ask this; ``None``: it may."""
        method = "" if request.method is UNSET else request.method
        if self.belongings.may_use(method, request.params, caller):
            return None
        error = {"code": wire.INVALID_PARAMS, "message": "Unknown task."}
        return Envelope(error=Raw(wire.encode(error)))

    def end_of(self, call: Call) -> None:
        """Forget ``call``, and what was asked on it."""
        self.flight.end(call)
        self._asks.forget(call)

    def end(self, error: DomainError) -> None:
        """End every call and every stream."""
        self.close_streams()
        self._streams.clear()
        self.flight.fail(error)

    def receive(self, message: Envelope, on: Call | None = None) -> Call | None:
        """Hand a message of the server's to whom it belongs; return the call that it ended.

        Args:
            on: It came on the stream of this call's answer.
        """
        if message.method is UNSET:
            return self._answer(message)
        if message.id is not UNSET:
            self._asks.put(message, self._asked_of(on))
        elif message.method == "notifications/progress":
            self.flight.progress(message)
        elif message.method == "notifications/cancelled":
            self._asks.withdraw(message.params)
        else:
            self._spread(message, on)
        return None

    def _answer(self, message: Envelope) -> Call | None:
        call = self.flight.answered(message)
        if call is not None:
            answer = self.belongings.made(call.method, message, call.caller)
            call.finish(answer=answer)
        return call

    def _asked_of(self, on: Call | None) -> Call | Stream | None:
        """Return what the client waits for that the server asks now; ``None``: it cannot be told, or nobody waits."""
        call = on if on is not None and not on.is_over else self.flight.owner()
        if call is not None or len(self.flight):
            return call
        return next((item for item in self._streams if item.caller.session), None)

    def _spread(self, message: Envelope, on: Call | None) -> None:
        """Give a notification to a call, or to every stream of the session."""
        body = wire.encode(Envelope(method=message.method, params=message.params))
        is_change = str(message.method).endswith(_CHANGES)
        if on is None and message.method == "notifications/message":
            on = self.flight.owner()
        if on is not None and not on.is_over and not (is_change and self._streams):
            if on.caller.session or self.wishes.wants(on.caller, message):
                on.note(body)
            return
        for stream in list(self._streams):
            if self.wishes.wants(stream.caller, message):
                stream.put(body)
