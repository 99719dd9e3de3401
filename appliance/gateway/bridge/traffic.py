"""Who asked what of one stdio server, and who gets what it says.

Many clients share one pair of pipes. What the server says in an answer, or about the progress of a call, names the call
(``inflight``); who hears the rest is in ``hearers``, and who is asked what it wants to know in ``questions``. Knows no sockets.
"""

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.core.errors import DomainError
from appliance.gateway.bridge.afterthoughts import Afterthoughts
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.frames import Overlong
from appliance.gateway.bridge.hearers import Hearers
from appliance.gateway.bridge.inflight import (
    OURSELVES,
    InFlight,
    tells_of_somebody,
)
from appliance.gateway.bridge.questions import Questions, whom
from appliance.gateway.errors import OverlongAnswerError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.capabilities import ASKABLE
from appliance.gateway.protocol.wire import Envelope

__all__ = ["OURSELVES", "Traffic"]

_SET_LEVEL = "logging/setLevel"


class Traffic:
    """The calls and streams of one attached server.

    Args:
        owner: The session that has the server for itself; ``None``: it is shared.
        send: Takes a line that is to be sent without being asked for.
    """

    def __init__(
        self,
        owner: Caller | None = None,
        send: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Draw a prefix."""
        self._owner = owner
        self._send = send
        self._calls = InFlight()
        self._afterthoughts = Afterthoughts()
        self._hearers = Hearers(owner)
        self._questions = Questions(send)
        self._strays = 0
        #: Whether the server has asked for something that only a client can answer.
        self.asks = False

    @property
    def dropped(self) -> int:
        """Messages of the server that were for nobody."""
        return self._strays + self._hearers.dropped

    @property
    def in_flight(self) -> int:
        """Calls of clients that wait for an answer."""
        return len(self._calls.of_clients())

    @property
    def open_streams(self) -> int:
        """GET streams that are open."""
        return len(self._hearers.streams)

    def begin(self, request: Envelope, caller: Caller) -> tuple[Call, bytes]:
        """Register ``request`` and return the call and what to send, which may be nothing."""
        method = "" if request.method is UNSET else request.method
        call, line = self._register(request, caller)
        if not self._hearers.belongings.may_use(method, request.params, caller):
            self._end_here(call, error=(wire.INVALID_PARAMS, "Unknown task."))
            return call, b""
        if not self._hearers.subscribers.needs(method, request.params, caller):
            self._end_here(call)
            return call, b""
        return call, self._level_for(caller) + line

    def renewals(self) -> bytes:
        """Return what a server that was opened anew must be asked again: subscriptions, and the level of its log."""
        again = [
            ("resources/subscribe", item) for item in self._hearers.subscribers.params()
        ]
        if (level := self._hearers.levels.now()) is not None:
            again.append((_SET_LEVEL, level))
        return b"".join(self._own_request(*item) for item in again)

    def abandon(self, call: Call) -> bytes | None:
        """Forget ``call``; return the line that tells the server, unless it has answered already."""
        self._questions.end_of(call)
        if not self._calls.forget(call):
            return None
        self._afterthoughts.given_up(call)
        params = b'{"requestId":%b,"reason":"The client went away."}' % call.wire_id
        return wire.one_line(
            Envelope(method="notifications/cancelled", params=Raw(params))
        )

    def notified(self, notification: Envelope, caller: Caller) -> bytes | None:
        """Return what to send for a client's notification; ``None``: it is not for this server."""
        method, params = notification.method, notification.params
        if method == "notifications/initialized":
            return None
        if method == "notifications/cancelled":
            return self.cancelled_by_client(params, caller)
        if method == "notifications/progress" and not self._questions.may_report(
            params, caller
        ):
            return None
        # A server that several share was told of nobody's roots.
        if method == "notifications/roots/list_changed" and self._owner is None:
            return None
        return wire.one_line(Envelope(method=method, params=params))

    def cancelled_by_client(
        self, params: Raw | UnsetType, caller: Caller
    ) -> bytes | None:
        """Return the line that cancels the call that ``caller`` names by its own id; ``None`` if there is no such call.

        A client without a session is known by its key alone. If several of them use the same id, none is cancelled.
        """
        call = self._calls.named_by(params, caller)
        if call is None or params is UNSET:
            return None
        fields = msgspec.json.decode(params)
        fields["requestId"] = Raw(call.wire_id)
        self._questions.end_of(call)
        # The client's request is still open; it ends with this, whatever the server makes of it.
        self._end_here(call, error=(wire.CANCELLED, "Request cancelled"))
        self._afterthoughts.given_up(call)
        return wire.one_line(
            Envelope(method="notifications/cancelled", params=Raw(wire.encode(fields)))
        )

    def open_stream(self, caller: Caller) -> Stream:
        """Return a new stream for what belongs to no call."""
        stream = Stream(caller)
        self.adopt_stream(stream)
        return stream

    def adopt_stream(self, stream: Stream) -> None:
        """Take over a stream that was made before the server was there."""
        self._hearers.note_user(stream.caller)
        self._hearers.streams.add(stream)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._questions.end_of(stream)
        self._hearers.streams.discard(stream)

    def close_streams(self) -> None:
        """End every stream."""
        for stream in self._hearers.streams:
            stream.close()

    def end_session(self, caller: Caller) -> bytes:
        """Close the streams and forget the subscriptions of a session; return what the server is told."""
        left = self._hearers.end_session(caller)
        return b"".join(
            self._own_request("resources/unsubscribe", item) for item in left
        )

    def fail(self, error: DomainError) -> None:
        """End every call with ``error``."""
        self._questions.forget()
        for call in self._calls.take_all():
            call.finish(error=error)

    def receive(self, message: Envelope) -> None:
        """Hand ``message`` to whom it belongs, or answer it."""
        if message.method is UNSET:
            self._answer(message)
        elif message.id is not UNSET:
            self._asked(message)
        elif message.method == "notifications/progress":
            self._strays += not self._calls.progress(message)
        elif message.method == "notifications/cancelled":
            self._questions.withdraw(message)
        elif (listening := self._calls.subscription(message)) is not None:
            note = Envelope(method=message.method, params=message.params)
            listening.note(wire.encode(note))
        else:
            others = self._afterthoughts.who_is_spoken_of()
            call = self._call_in_question(others)
            whose = {item.caller.principal for item in self._calls.of_somebody()}
            self._hearers.hear(message, call, whose | others)

    def overlong(self, line: Overlong, limit: int) -> bool:
        """Fail the call that an overlong line answers; return whether there was one."""
        call = self._calls.overlong(line)
        if call is not None:
            reason = f"The server's answer is longer than {limit} bytes."
            call.finish(error=OverlongAnswerError(reason))
        return call is not None

    # -- towards the server

    def _register(self, request: Envelope, caller: Caller) -> tuple[Call, bytes]:
        params = request.params
        if request.method == _SET_LEVEL:
            params = self._hearers.levels.set(caller, params)
        if tells_of_somebody(caller, str(request.method)):
            self._hearers.note_user(caller)
        return self._calls.begin(request, params, caller)

    def _own_request(self, method: str, params: Raw) -> bytes:
        request = Envelope(method=method, params=params)
        return self._calls.begin(request, params, OURSELVES)[1]

    def _level_for(self, caller: Caller) -> bytes:
        """Return what lowers the server's level to what a client without a session wants of its call."""
        level = (
            self._hearers.levels.lower(caller.log_level) if caller.log_level else None
        )
        return b"" if level is None else self._own_request(_SET_LEVEL, level)

    def _end_here(self, call: Call, error: tuple[int, str] | None = None) -> None:
        """End ``call`` with an answer of ours; the server is not asked."""
        self._calls.forget(call)
        if error is None:
            call.finish(answer=Envelope(result=Raw(b"{}")))
        else:
            words = {"code": error[0], "message": error[1]}
            call.finish(answer=Envelope(error=Raw(wire.encode(words))))

    # -- towards the clients

    def _answer(self, message: Envelope) -> None:
        call = self._calls.answered(message)
        if call is None:
            self._strays += 1
            self._afterthoughts.answered_late(wire.id_of(message))
            return
        if tells_of_somebody(call.caller, call.method):
            self._afterthoughts.answered(call.caller.principal)
        self._questions.end_of(call)
        call.finish(
            answer=self._hearers.belongings.made(call.method, message, call.caller)
        )

    def _asked(self, message: Envelope) -> None:
        if message.method == "ping":
            self._send(wire.result_body(wire.id_of(message), b"{}") + b"\n")
            return
        if message.method not in ASKABLE:
            self._questions.refuse(message, f"No client answers {message.method} here.")
            return
        self.asks = True
        place = self._place()
        if place is None:
            self._questions.refuse(
                message,
                "It cannot be told which call this belongs to, and so which client is to answer it.",
            )
        elif (ask := self._questions.ask(message, place)) is not None:
            self._hearers.belongings.asked(ask, place.caller)

    def _call_in_question(self, others: set[str]) -> Call | None:
        """Return the call that a message without a name must belong to; ``None``: there is none, or it cannot be told.

        Args:
            others: Principals without a call in flight whom the server may be speaking of nevertheless.
        """
        calls = self._calls.of_somebody()
        if self._owner is None:
            call = whom(calls, self._questions.places)
            is_theirs = call is not None and others <= {call.caller.principal}
            return call if is_theirs else None
        # Whoever waits for its client is not what the server is busy with.
        busy = [call for call in calls if call not in self._questions.places]
        return next(reversed(busy or calls), None)

    def _place(self) -> Call | Stream | None:
        """Return where a client hears of what the server asks without saying for which call."""
        call = self._call_in_question(self._afterthoughts.who_is_worked_for())
        if call is None and self._owner is not None:
            return next(iter(self._hearers.streams), None)
        return call
