"""The requests that one stdio server has not answered yet. Knows no sockets.

Every request goes out under an id of our own, with a prefix drawn at random when we attached, so that an answer meant for a
predecessor, or made up, finds nobody. The same id is its progress token: two clients may use the same ids and tokens.
"""

import secrets
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.frames import Overlong
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: The bridge's own requests are nobody else's.
OURSELVES = Caller("bridge")
_HUB = "hub"
_LOOKS = {"tools/list", "prompts/list", "resources/list", "resources/templates/list"}
_SUBSCRIPTION_ID = b'"io.modelcontextprotocol/subscriptionId"'


class _Target(msgspec.Struct):
    requestId: Raw = Raw(b"null")  # noqa: N815 - the protocol's own name


class _Tagged(msgspec.Struct):
    meta: dict[str, Raw] = msgspec.field(name="_meta", default_factory=dict)


def tells_of_somebody(caller: Caller, method: str) -> bool:
    """Whether what a server says of a request may be somebody's.

    The bridge's own requests are nobody's, and neither are the hub's looks at what the server offers.
    """
    return caller != OURSELVES and not (caller.principal == _HUB and method in _LOOKS)


class InFlight:
    """Finds the call that a message names."""

    def __init__(self) -> None:
        """Draw a prefix."""
        self._prefix = secrets.token_hex(6).encode()
        self._count = 0
        self._calls: dict[bytes, Call] = {}

    def begin(
        self, request: Envelope, params: Raw | UnsetType, caller: Caller
    ) -> tuple[Call, bytes]:
        """Register ``request`` and return the call and the line to send, which says ``params``."""
        self._count += 1
        wire_id = b'"%b-%d"' % (self._prefix, self._count)
        method = "" if request.method is UNSET else request.method
        onward, token = _with_token(params, wire_id)
        call = Call(caller, wire.id_of(request), method, wire_id, token)
        self._calls[wire_id] = call
        line = wire.one_line(Envelope(id=Raw(wire_id), method=method, params=onward))
        return call, line

    def of_clients(self) -> list[Call]:
        """Return the calls of clients, the latest last."""
        return [call for call in self._calls.values() if call.caller != OURSELVES]

    def of_somebody(self) -> list[Call]:
        """Return the calls of which the server may be speaking, the latest last."""
        calls = self._calls.values()
        return [call for call in calls if tells_of_somebody(call.caller, call.method)]

    def forget(self, call: Call) -> bool:
        """Forget ``call``; return whether it was still waited for."""
        return self._calls.pop(call.wire_id, None) is not None

    def answered(self, message: Envelope) -> Call | None:
        """Return the call that ``message`` answers, and forget it; ``None``: there is none."""
        return self._calls.pop(wire.id_of(message), None)

    def take_all(self) -> list[Call]:
        """Return every call and forget it."""
        calls, self._calls = list(self._calls.values()), {}
        return calls

    def progress(self, message: Envelope) -> bool:
        """Give the call that ``message`` names by its token what it says; return whether there is one."""
        try:
            fields = msgspec.json.decode(_bytes(message.params), type=dict[str, Any])
        except msgspec.DecodeError:
            fields = {}
        call = self._calls.get(wire.encode(fields.get("progressToken")))
        if call is None or call.token is None:
            return False
        fields["progressToken"] = call.token
        params = Raw(wire.encode(fields))
        call.note(wire.encode(Envelope(method=message.method, params=params)))
        return True

    def subscription(self, message: Envelope) -> Call | None:
        """Return the ``subscriptions/listen`` of a stateless server that ``message`` belongs to."""
        if message.params is UNSET or _SUBSCRIPTION_ID not in bytes(message.params):
            return None
        try:
            meta = msgspec.json.decode(message.params, type=_Tagged).meta
        except msgspec.DecodeError:
            return None
        named = meta.get("io.modelcontextprotocol/subscriptionId", Raw(b""))
        return self._calls.get(bytes(named))

    def named_by(self, params: Raw | UnsetType, caller: Caller) -> Call | None:
        """Return the call that ``caller`` names by its own id; ``None``: there is not exactly one."""
        try:
            named = bytes(msgspec.json.decode(_bytes(params), type=_Target).requestId)
        except msgspec.DecodeError:
            return None
        mine = [
            call
            for call in self._calls.values()
            if call.caller == caller and call.client_id == named
        ]
        return mine[0] if len(mine) == 1 else None

    def overlong(self, line: Overlong) -> Call | None:
        """Return the call that an overlong line answers, and forget it; ``None``: there is none."""
        for wire_id, call in self._calls.items():
            if wire_id in line.head or wire_id in line.tail:
                del self._calls[wire_id]
                return call
        return None


def _with_token(
    params: Raw | UnsetType, wire_id: bytes
) -> tuple[Raw | UnsetType, Raw | None]:
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


def _bytes(params: Raw | UnsetType) -> bytes:
    return b"{}" if params is UNSET else bytes(params)
