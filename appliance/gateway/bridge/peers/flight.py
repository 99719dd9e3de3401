"""The calls that one connection or session to a server has in flight. Knows no sockets.

Every request goes out under an id of ours, which is its progress token too: two clients may use the same ids and tokens.
"""

import secrets

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.traffic import OURSELVES
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

_CANCELLED = -32800


class Flight:
    """Finds the call that a message of the server belongs to."""

    def __init__(self) -> None:
        """Draw a prefix, so that an answer meant for somebody else finds nobody."""
        self._prefix = secrets.token_hex(6).encode()
        self._count = 0
        self._calls: dict[bytes, Call] = {}

    def __len__(self) -> int:
        """Return how many calls wait for an answer."""
        return len(self._calls)

    def begin(self, request: Envelope, caller: Caller) -> tuple[Call, Envelope]:
        """Register ``request``; return the call, and the request as the server gets it."""
        wire_id = self.new_id()
        params, token = _with_token(request.params, wire_id)
        method = "" if request.method is UNSET else request.method
        call = Call(caller, wire.id_of(request), method, wire_id, token)
        self._calls[wire_id] = call
        return call, Envelope(id=Raw(wire_id), method=method, params=params)

    def new_id(self) -> bytes:
        """Return an id that no other request has, as it stands on the wire."""
        self._count += 1
        return b'"%b-%d"' % (self._prefix, self._count)

    def end(self, call: Call) -> bool:
        """Forget ``call``; return whether it was still in flight."""
        return self._calls.pop(call.wire_id, None) is not None

    def answered(self, message: Envelope) -> Call | None:
        """Return the call that ``message`` answers, and forget it; ``None``: there is none."""
        return self._calls.pop(wire.id_of(message), None)

    def progress(self, message: Envelope) -> bool:
        """Give the call that ``message`` names by its token what it says; return whether there is one."""
        fields = fields_of(message.params)
        call = self._calls.get(bytes(fields.get("progressToken", Raw(b""))))
        if call is None or call.token is None:
            return False
        fields["progressToken"] = call.token
        params = Raw(wire.encode(fields))
        call.note(wire.encode(Envelope(method=message.method, params=params)))
        return True

    def owner(self) -> Call | None:
        """Return the call that a message without a name must belong to.

        In a session of one client it is the latest. Clients without sessions share one; if several calls are in flight
        there, it cannot be told.
        """
        calls = [call for call in self._calls.values() if call.caller is not OURSELVES]
        if not calls:
            return None
        return calls[-1] if calls[-1].caller.session or len(calls) == 1 else None

    def named_by(self, params: Raw | UnsetType, caller: Caller) -> Call | None:
        """Return the call that ``caller`` names in a cancellation, by its own id; ``None``: there is not exactly one."""
        named = bytes(fields_of(params).get("requestId", Raw(b"")))
        mine = [
            call
            for call in self._calls.values()
            if call.caller == caller and call.client_id == named
        ]
        return mine[0] if len(mine) == 1 else None

    def fail(self, error: DomainError) -> None:
        """End every call with ``error``."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.finish(error=error)


def cancelled() -> Envelope:
    """Return how a call ends that its client has cancelled: HTTP wants an answer, in the words of the SDKs."""
    error = {"code": _CANCELLED, "message": "Request cancelled"}
    return Envelope(error=Raw(wire.encode(error)))


def fields_of(raw: Raw | UnsetType) -> dict[str, Raw]:
    """Return the members of an object, their values as they were written; what is no object has none."""
    try:
        return msgspec.json.decode(b"{}" if raw is UNSET else raw, type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        return {}


def items_of(raw: Raw | None) -> list[Raw]:
    """Return the items of a list, as they were written; what is no list has none."""
    try:
        return [] if raw is None else msgspec.json.decode(raw, type=list[Raw])
    except (msgspec.DecodeError, RecursionError):
        return []


def value_of(raw: Raw | None) -> object:
    """Return what ``raw`` says; ``None`` if it is missing or cannot be read."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def code_of(answer: Envelope) -> int | None:
    """Return the code of the error that ``answer`` is."""
    code = value_of(fields_of(answer.error).get("code"))
    return code if isinstance(code, int) else None


def _with_token(
    params: Raw | UnsetType, wire_id: bytes
) -> tuple[Raw | UnsetType, Raw | None]:
    """Return ``params`` with our id as progress token, and the client's own token."""
    if params is UNSET or b'"progressToken"' not in bytes(params):
        return params, None
    fields = fields_of(params)
    meta = fields_of(fields.get("_meta", UNSET))
    token = meta.get("progressToken")
    if token is None:
        return params, None
    # ``Raw`` borrows from the message that it was read from.
    fields["_meta"] = Raw(wire.encode(meta | {"progressToken": Raw(wire_id)}))
    return Raw(wire.encode(fields)), token.copy()
