"""A server that knows only revision 2026-07-28, whatever carries its messages."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from appliance.gateway.bridge.belongings import Belongings
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers import asks, speech
from appliance.gateway.bridge.peers.carriers import Carriers
from appliance.gateway.bridge.peers.flight import (
    Flight,
    cancelled,
    code_of,
    fields_of,
    value_of,
)
from appliance.gateway.bridge.peers.listening import Line, Listening
from appliance.gateway.bridge.peers.questions import ask_all
from appliance.gateway.bridge.traffic import OURSELVES
from appliance.gateway.errors import (
    HandshakeError,
    TooManyRoundsError,
)
from appliance.gateway.protocol import discovery, wire
from appliance.gateway.protocol.levels import LEVELS
from appliance.gateway.protocol.wire import Envelope

#: A server may come back with questions so many times before a call is given up.
ROUNDS = 16
#: A call whose server asks nothing and wants to be asked again waits so long, and longer each time.
PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
#: Seconds in which a server should have acknowledged a subscription before its client is told that it is one.
ACKNOWLEDGED_WITHIN_S = 2.0
#: Clients whose log level is remembered; beyond it the oldest is forgotten.
LEVELS_LIMIT = 10_000


class ModernPeer:
    """One server; every request stands alone, and no client has a session there.

    Args:
        opened: What the server said at ``server/discover``, in the form of an ``initialize`` result.
        refused: Called when it does not know this revision any more.
    """

    def __init__(
        self,
        line: Line,
        opened: Mapping[str, Any],
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask nothing yet."""
        self._refused = refused
        self._line = line
        self._flight = Flight()
        self._listening = Listening(line)
        self._levels: dict[Caller, str] = {}
        self._belongings = Belongings()
        self._carriers = Carriers(self._flight, self._carry)
        self._opened = opened
        self._listening.announce(opened["capabilities"])

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server said of itself."""
        return self._opened

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once."""
        return self._carriers.begin(request, caller)

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        self._carriers.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Cancel the call that a client names; the modern era knows no other notification of a client's."""
        if notification.method == "notifications/cancelled":
            call = self._flight.named_by(notification.params, caller)
            if call is not None:
                self.abandon(call)
                call.finish(answer=cancelled())

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says that belongs to no call."""
        return self._listening.open_stream(caller)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._listening.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """Close the streams and forget the subscriptions of a session."""
        self._listening.end(caller)
        self._levels.pop(caller, None)

    def retire(self) -> None:
        """Nothing leads here any more: let those who listen connect anew."""
        self._listening.close_streams()

    async def close(self) -> None:
        """Let go of the server."""
        await self._listening.close()
        await self._carriers.close()
        await self._line.close()

    def describe(self) -> Mapping[str, Any]:
        """Return what is known, for people and tests."""
        return {"discover": self._opened, "calls_in_flight": len(self._flight)}

    async def _carry(self, call: Call, request: Envelope) -> None:
        if not await self._answers_itself(call, request):
            await self._ask(call, request)

    async def _ask(self, call: Call, request: Envelope) -> None:
        """Send the request, and send it again with what the server wants to know first."""
        params: dict[str, Any] = dict(fields_of(request.params))
        meta = speech.meta_of(call.caller, self._level(call.caller))
        pause_s = PAUSE_S
        for _ in range(ROUNDS):
            onward = speech.request(call.method, params, meta)
            answer = await self._exchange(call, onward)
            if code_of(answer) == wire.UNSUPPORTED_VERSION:
                self._refused()
            questions = speech.questions_in(answer)
            if questions is None:
                answer = self._belongings.made(call.method, answer, call.caller)
                call.finish(answer=speech.in_older_words(call.method, answer))
                return
            if not questions.asked:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if len(questions.asked) > asks.LIMIT:
                raise TooManyRoundsError("The server asks too many things at once.")
            answers = await ask_all(call, questions)
            if isinstance(answers, Envelope):
                call.finish(answer=answers)
                return
            params = speech.answered(params, answers, questions.state)
        raise TooManyRoundsError(f"The server asked back {ROUNDS} times.")

    async def _exchange(self, call: Call, onward: Envelope) -> Envelope:
        """Return the server's answer; what it says before that goes to ``call``."""
        sent = await self._line.begin(onward, call.caller)
        try:
            while True:
                for note in sent.take_notes():
                    self._note(call, note)
                if sent.is_over:
                    break
                await sent.news()
        finally:
            self._line.abandon(sent)
        if sent.answer is None:
            raise sent.error or HandshakeError("The server gave no answer.")
        return sent.answer

    def _note(self, call: Call, note: bytes) -> None:
        message = wire.decode_line(note)
        if message.method == "notifications/progress":
            self._flight.progress(message)
        else:
            call.note(note)

    def _level(self, caller: Caller) -> str | None:
        """Return from which level on ``caller`` hears log messages.

        A client without a session says so with each request; one that opened a session and said nothing gets what an
        older server would say by itself.
        """
        if "logging" not in self._opened["capabilities"]:
            return None
        if caller.session:
            return self._levels.get(caller, "info")
        return caller.log_level or None

    async def _answers_itself(self, call: Call, request: Envelope) -> bool:
        """Answer what the modern era has no request for; return whether ``call`` was such a one."""
        fields = fields_of(request.params)
        match call.method:
            case "ping":
                refusal = None
            case "logging/setLevel":
                refusal = self._set_level(call.caller, value_of(fields.get("level")))
            case "resources/subscribe":
                uri = value_of(fields.get("uri"))
                refusal = self._subscribe(call.caller, uri)
                await self._listening.ready(ACKNOWLEDGED_WITHIN_S)
            case "resources/unsubscribe":
                refusal = None
                self._listening.unsubscribe(
                    call.caller, str(value_of(fields.get("uri")))
                )
            case _ if not self._belongings.may_use(
                call.method, request.params, call.caller
            ):
                refusal = _error(wire.INVALID_PARAMS, "Unknown task.")
            case _:
                return False
        call.finish(answer=refusal or Envelope(result=Raw(b"{}")))
        return True

    def _set_level(self, caller: Caller, level: object) -> Envelope | None:
        if not isinstance(level, str) or level not in LEVELS:
            return _error(wire.INVALID_PARAMS, "There is no such level.")
        self._levels[caller] = level
        if len(self._levels) > LEVELS_LIMIT:
            del self._levels[next(iter(self._levels))]
        return None

    def _subscribe(self, caller: Caller, uri: object) -> Envelope | None:
        offered = self._opened["capabilities"].get("resources")
        if not isinstance(offered, dict) or not offered.get("subscribe"):
            return _error(wire.METHOD_NOT_FOUND, "The server has no subscriptions.")
        if not isinstance(uri, str):
            return _error(wire.INVALID_PARAMS, "uri must be a string.")
        if not self._listening.subscribe(caller, uri):
            return _error(wire.INVALID_PARAMS, "Too many resources are watched.")
        return None


async def discover(line: Line) -> dict[str, Any]:
    """Ask a server what it is.

    Raises:
        DomainError: It does not answer, or does not speak the modern era.
    """
    call = await line.begin(discovery.request(), OURSELVES)
    try:
        while not call.is_over:
            await call.news()
    finally:
        line.abandon(call)
    if call.answer is None:
        raise call.error or HandshakeError("The server gave no answer.")
    opened = discovery.opened_by(call.answer)
    if opened is None:
        raise HandshakeError(f"The server does not speak {discovery.REVISION}.")
    return opened


def _error(code: int, message: str) -> Envelope:
    return Envelope(error=Raw(wire.encode({"code": code, "message": message})))
