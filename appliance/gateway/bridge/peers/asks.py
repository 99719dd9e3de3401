"""What a server asks its clients, from the moment it asks until it has its answer."""

import secrets
from collections.abc import Callable

from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.calls import Ask, Call, Stream
from appliance.gateway.bridge.peers.flight import fields_of, value_of
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Requests of one server in one session that may wait for an answer at once; more are refused.
LIMIT = 64
_ASKABLE = {"sampling/createMessage", "elicitation/create", "roots/list"}


class Asks:
    """The open questions of one session.

    Args:
        send: Brings an answer to the server.
    """

    def __init__(self, send: Callable[[Envelope], None]) -> None:
        """Know of none yet."""
        self._send = send
        #: The server's id of its request, to who was asked.
        self._open: dict[bytes, tuple[Call | Stream, Ask]] = {}

    def put(self, message: Envelope, to: Call | Stream | None) -> None:
        """Ask the client that waits for ``to``; ``None``: it cannot be told who is to be asked."""
        request_id = wire.id_of(message)
        refusal = self._why_not(message, to)
        if message.method == "ping":
            self._answer(request_id, Envelope(result=Raw(b"{}")))
        elif to is None or refusal is not None:
            error = {"code": wire.METHOD_NOT_FOUND, "message": refusal}
            self._answer(request_id, Envelope(error=Raw(wire.encode(error))))
        else:
            self._ask(request_id, message, to)

    def withdraw(self, params: Raw | UnsetType) -> None:
        """Take back what the server cancels."""
        fields = fields_of(params)
        open_one = self._open.pop(bytes(fields.get("requestId", Raw(b""))), None)
        if open_one is not None:
            asked, ask = open_one
            reason = value_of(fields.get("reason"))
            asked.withdraw(ask.key, reason if isinstance(reason, str) else "")

    def forget(self, call: Call) -> None:
        """Forget what belonged to a call that is over."""
        for request_id, (asked, _) in list(self._open.items()):
            if asked is call:
                del self._open[request_id]

    def clear(self) -> None:
        """Forget everything: the server does."""
        self._open.clear()

    def _why_not(self, message: Envelope, to: Call | Stream | None) -> str | None:
        if message.method not in _ASKABLE:
            return f"No client answers {message.method} here."
        if to is None:
            return "It cannot be told which call this belongs to, and so which client is to answer."
        if len(self._open) >= LIMIT:
            return "Too many requests wait for an answer already."
        return None

    def _ask(self, request_id: bytes, message: Envelope, to: Call | Stream) -> None:
        def reply(answer: Envelope) -> None:
            if self._open.pop(request_id, None) is not None:
                self._answer(request_id, answer)

        key = secrets.token_hex(12)
        ask = Ask(key, str(message.method), message.params, reply)
        self._open[request_id] = to, ask
        if isinstance(to, Call):
            to.ask(ask)
        else:
            to.put(ask)

    def _answer(self, request_id: bytes, answer: Envelope) -> None:
        message = Envelope(id=Raw(request_id), result=answer.result, error=answer.error)
        if message.result is UNSET and message.error is UNSET:
            message.result = Raw(b"{}")
        self._send(message)
