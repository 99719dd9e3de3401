"""Who asked what of one stdio server, and who gets what it says.

Many clients share one pair of pipes. Every request goes out under an id of our own, with a prefix drawn at random when we
attached, so that an answer meant for a predecessor, or made up, finds nobody. Knows no sockets.

A notification that names no request belongs to nobody in particular, and may still speak of somebody's data. So:

- progress goes to the call whose token it carries;
- ``resources/updated`` goes to the streams of those who subscribed to that resource;
- a log message goes to the only call in flight; with several calls of one principal in flight, to that principal's streams;
  with calls of several principals, to nobody, because it cannot be known whose it is; with none, to every stream;
- the rest (``…/list_changed``) goes to every stream.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.frames import Overlong
from appliance.gateway.errors import OverlongAnswerError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Resources that are remembered as subscribed to; beyond it the oldest is forgotten.
SUBSCRIPTIONS_LIMIT = 10_000


class _Target(msgspec.Struct):
    uri: str = ""
    requestId: Raw = Raw(b"null")  # noqa: N815 - the protocol's own name


class Traffic:
    """The calls and streams of one attached server."""

    def __init__(self) -> None:
        """Draw a prefix."""
        self._prefix = secrets.token_hex(6).encode()
        self._count = 0
        self._calls: dict[bytes, Call] = {}
        self._streams: set[Stream] = set()
        self._subscribers: dict[str, set[Caller]] = {}
        self.dropped = 0

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer."""
        return len(self._calls)

    @property
    def open_streams(self) -> int:
        """GET streams that are open."""
        return len(self._streams)

    def begin(self, request: Envelope, caller: Caller) -> tuple[Call, bytes]:
        """Register ``request`` and return the call and the line to send."""
        self._count += 1
        wire_id = b'"%b-%d"' % (self._prefix, self._count)
        params, token = _with_token(request.params, wire_id)
        method = "" if request.method is UNSET else request.method
        call = Call(caller, wire.id_of(request), method, wire_id, token)
        self._calls[wire_id] = call
        self._note_subscription(method, request.params, caller)
        line = wire.one_line(Envelope(id=Raw(wire_id), method=method, params=params))
        return call, line

    def abandon(self, call: Call) -> bytes | None:
        """Forget ``call``; return the line that tells the server, unless it has answered already."""
        if self._calls.pop(call.wire_id, None) is None:
            return None
        params = b'{"requestId":%b,"reason":"The client went away."}' % call.wire_id
        return wire.one_line(
            Envelope(method="notifications/cancelled", params=Raw(params))
        )

    def cancelled_by_client(
        self, params: Raw | msgspec.UnsetType, caller: Caller
    ) -> bytes | None:
        """Return the line that cancels the call that ``caller`` names by its own id; ``None`` if there is no such call.

        A client without a session is known by its key alone. If several of them use the same id, none is cancelled.
        """
        named = bytes(_decode_target(params).requestId)
        mine = [
            call
            for call in self._calls.values()
            if call.caller == caller and call.client_id == named
        ]
        if len(mine) != 1:
            return None
        fields = msgspec.json.decode(_bytes(params))
        fields["requestId"] = Raw(mine[0].wire_id)
        return wire.one_line(
            Envelope(method="notifications/cancelled", params=Raw(wire.encode(fields)))
        )

    def open_stream(self, caller: Caller) -> Stream:
        """Return a new stream for notifications that belong to no call."""
        stream = Stream(caller)
        self._streams.add(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._streams.discard(stream)

    def close_streams(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.close()

    def end_session(self, caller: Caller) -> None:
        """Close the streams and forget the subscriptions of a session."""
        for stream in [item for item in self._streams if item.caller == caller]:
            stream.close()
        for callers in self._subscribers.values():
            callers.discard(caller)

    def fail(self, error: DomainError) -> None:
        """End every call with ``error``."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.finish(error=error)

    def receive(self, message: Envelope) -> bytes | None:
        """Hand ``message`` to whom it belongs; return the line that answers it if it is a request of the server's."""
        if message.method is UNSET:
            self._answer(message)
            return None
        if message.id is not UNSET:
            return _reply(message)
        body = _notification_body(message)
        if message.method == "notifications/progress":
            self._progress(message)
        elif message.method != "notifications/cancelled":
            self._spread(message, body)
        return None

    def overlong(self, line: Overlong, limit: int) -> bool:
        """Fail the call that an overlong line answers; return whether there was one."""
        for wire_id, call in self._calls.items():
            if wire_id in line.head or wire_id in line.tail:
                del self._calls[wire_id]
                call.finish(
                    error=OverlongAnswerError(
                        f"The server's answer is longer than {limit} bytes."
                    )
                )
                return True
        return False

    def _answer(self, message: Envelope) -> None:
        call = self._calls.pop(wire.id_of(message), None)
        if call is None:
            self.dropped += 1
            return
        call.finish(answer=message)

    def _progress(self, message: Envelope) -> None:
        try:
            fields = msgspec.json.decode(_bytes(message.params), type=dict[str, Any])
        except msgspec.DecodeError:
            fields = {}
        call = self._calls.get(wire.encode(fields.get("progressToken")))
        if call is None or call.token is None:
            self.dropped += 1
            return
        fields["progressToken"] = call.token
        params = Raw(wire.encode(fields))
        call.note(_notification_body(Envelope(method=message.method, params=params)))

    def _spread(self, message: Envelope, body: bytes) -> None:
        if message.method == "notifications/message" and len(self._calls) == 1:
            next(iter(self._calls.values())).note(body)
            return
        for stream in list(self._recipients(message)):
            stream.put(body)

    def _recipients(self, message: Envelope) -> Iterator[Stream]:
        if message.method == "notifications/resources/updated":
            subscribed = self._subscribers.get(
                _decode_target(message.params).uri, set()
            )
            return (stream for stream in self._streams if stream.caller in subscribed)
        if message.method == "notifications/message" and self._calls:
            principals = {call.caller.principal for call in self._calls.values()}
            if len(principals) > 1:
                self.dropped += 1
                return iter(())
            return (
                stream
                for stream in self._streams
                if stream.caller.principal in principals
            )
        return iter(self._streams)

    def _note_subscription(
        self, method: str, params: Raw | msgspec.UnsetType, caller: Caller
    ) -> None:
        if method == "resources/subscribe":
            if len(self._subscribers) >= SUBSCRIPTIONS_LIMIT:
                del self._subscribers[next(iter(self._subscribers))]
            self._subscribers.setdefault(_decode_target(params).uri, set()).add(caller)
        elif method == "resources/unsubscribe":
            self._subscribers.get(_decode_target(params).uri, set()).discard(caller)


def _with_token(
    params: Raw | msgspec.UnsetType, wire_id: bytes
) -> tuple[Raw | msgspec.UnsetType, Raw | None]:
    """Return ``params`` with our id as progress token, and the client's own token."""
    # Nearly no call carries a token; looking for the word spares the others a parse. A token spelled with escapes passes
    # unseen and simply gets no progress: the server then names a token that is none of ours.
    if params is UNSET or b'"progressToken"' not in bytes(params):
        return params, None
    fields = msgspec.json.decode(params)
    meta = fields.get("_meta") if isinstance(fields, dict) else None
    if not isinstance(meta, dict) or "progressToken" not in meta:
        return params, None
    token = Raw(wire.encode(meta["progressToken"]))
    meta["progressToken"] = Raw(wire_id)
    return Raw(wire.encode(fields)), token


def _bytes(params: Raw | msgspec.UnsetType) -> bytes:
    return b"{}" if params is UNSET else bytes(params)


def _decode_target(params: Raw | msgspec.UnsetType) -> _Target:
    try:
        return msgspec.json.decode(_bytes(params), type=_Target)
    except msgspec.DecodeError:
        return _Target()


def _notification_body(message: Envelope) -> bytes:
    return wire.encode(Envelope(method=message.method, params=message.params))


def _reply(message: Envelope) -> bytes:
    """Answer a request of the server's; this gateway offers servers no sampling, elicitation or roots."""
    request_id = wire.id_of(message)
    if message.method == "ping":
        return wire.result_body(request_id, b"{}") + b"\n"
    if message.method == "roots/list":
        return wire.result_body(request_id, b'{"roots":[]}') + b"\n"
    refusal = wire.error_body(
        request_id, wire.METHOD_NOT_FOUND, f"No client answers {message.method} here."
    )
    return refusal + b"\n"
