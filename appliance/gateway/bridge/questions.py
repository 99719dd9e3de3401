"""What one server asked its clients and still waits for. Knows no sockets.

On shared pipes a server does not say for which call it asks. It is told apart as far as it can be: the only call in flight, the
latest one of the only session that has any, or, of one principal's, the only one that does not wait for its client already.
Otherwise nobody is asked, because it could be the wrong one. A server that one session has for itself asks that session,
with or without a call.
"""

import secrets
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.calls import Ask, Call, Caller, Stream
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.capabilities import ROOTS
from appliance.gateway.protocol.wire import Envelope

#: Questions that may wait at once; further ones are refused.
LIMIT = 256
#: Whoever asks without having been told that there are roots should not fail for it.
NO_ROOTS = Raw(b'{"roots":[]}')


class _Names(msgspec.Struct):
    requestId: Raw = Raw(b"null")  # noqa: N815 - the protocol's own name
    reason: str = ""


class _Meta(msgspec.Struct):
    progressToken: Raw = Raw(b"null")  # noqa: N815 - the protocol's own name


@dataclass(frozen=True)
class _Waiting:
    ask: Ask
    #: Where the client hears of it.
    place: Call | Stream

    @property
    def caller(self) -> Caller:
        return self.place.caller


class Questions:
    """The server's requests in flight.

    Args:
        send: Takes the line that answers one.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """Wait for nothing."""
        self._send = send
        self._waiting: dict[bytes, _Waiting] = {}

    def ask(self, message: Envelope, place: Call | Stream) -> Ask | None:
        """Put the server's request to the client at ``place``; ``None``: too many wait, and it was refused."""
        server_id = wire.id_of(message)
        if len(self._waiting) >= LIMIT or server_id in self._waiting:
            self.refuse(message, "Too many questions wait for an answer.")
            return None
        ask = Ask(
            key=secrets.token_hex(16),
            method=str(message.method),
            params=message.params,
            reply=lambda answer: self._reply(server_id, answer),
        )
        self._waiting[server_id] = _Waiting(ask, place)
        place.ask(ask) if isinstance(place, Call) else place.put(ask)
        return ask

    def withdraw(self, message: Envelope) -> None:
        """Take back what the server's ``notifications/cancelled`` names."""
        try:
            named = msgspec.json.decode(
                b"{}" if message.params is UNSET else message.params, type=_Names
            )
        except msgspec.DecodeError:
            return
        waiting = self._waiting.pop(bytes(named.requestId), None)
        if waiting is not None:
            waiting.place.withdraw(waiting.ask.key, named.reason)

    def end_of(self, place: Call | Stream) -> None:
        """Tell the server that nobody at ``place`` will answer."""
        for waiting in [item for item in self._waiting.values() if item.place is place]:
            ask = waiting.ask
            if ask.method == ROOTS:
                ask.reply(Envelope(result=NO_ROOTS))
            else:
                ask.refuse(wire.METHOD_NOT_FOUND, "The call is over.")

    def forget(self) -> None:
        """The server is gone, and waits for nothing any more."""
        self._waiting.clear()

    @property
    def places(self) -> list[Call | Stream]:
        """Where clients were asked and have not answered."""
        return [item.place for item in self._waiting.values()]

    def may_report(self, params: Raw | UnsetType, caller: Caller) -> bool:
        """Whether ``caller`` was asked under the progress token that it names."""
        token = _token(params)
        return token != wire.NULL and any(
            item.caller == caller and _asked_token(item.ask) == token
            for item in self._waiting.values()
        )

    def refuse(self, message: Envelope, why: str) -> None:
        """Answer the server's request with an error, or with what no client needs to be asked for."""
        request_id = wire.id_of(message)
        if message.method == ROOTS:
            line = wire.result_body(request_id, bytes(NO_ROOTS))
        else:
            line = wire.error_body(request_id, wire.METHOD_NOT_FOUND, why)
        self._send(line + b"\n")

    def _reply(self, server_id: bytes, answer: Envelope) -> None:
        if self._waiting.pop(server_id, None) is not None:
            self._send(
                wire.one_line(
                    Envelope(
                        id=Raw(server_id), result=answer.result, error=answer.error
                    )
                )
            )


def whom(calls: Iterable[Call], waiting: Container[Call | Stream] = ()) -> Call | None:
    """Return the call that a message without a name must belong to; ``None``: it cannot be told.

    Args:
        waiting: Calls whose client was asked something: among those of one principal, their server is not busy with them.
    """
    in_flight = list(calls)
    if len(in_flight) <= 1:
        return in_flight[0] if in_flight else None
    latest = in_flight[-1].caller
    if bool(latest.session) and all(call.caller == latest for call in in_flight):
        return in_flight[-1]
    busy = [call for call in in_flight if call not in waiting]
    is_one_principal = all(
        call.caller.principal == latest.principal for call in in_flight
    )
    return busy[0] if is_one_principal and len(busy) == 1 else None


def _token(params: Raw | UnsetType) -> bytes:
    try:
        found = msgspec.json.decode(b"{}" if params is UNSET else params, type=_Meta)
    except msgspec.DecodeError:
        return b"null"
    return bytes(found.progressToken)


def _asked_token(ask: Ask) -> bytes:
    if ask.params is UNSET or b'"progressToken"' not in bytes(ask.params):
        return b""
    try:
        params = msgspec.json.decode(ask.params, type=dict[str, Raw])
    except msgspec.DecodeError:
        return b""
    return _token(params.get("_meta", UNSET))
