"""On whose behalf a worker's request is, and what that client can be asked for."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.errors import UnknownSessionError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol.wire import Envelope

#: Sessions whose clients, or whose end, are remembered; beyond it the oldest is forgotten.
KEPT = 10_000


class Said(msgspec.Struct):
    """What a client says of itself."""

    protocolVersion: str = ""  # noqa: N815 - the protocol's own name
    capabilities: dict[str, Any] = msgspec.field(default_factory=dict)
    clientInfo: dict[str, Any] = msgspec.field(default_factory=dict)  # noqa: N815 - as above

    def caller(self, principal: str, session: str) -> Caller:
        """Return the caller who said it."""
        return Caller(
            principal,
            session,
            capabilities=self.capabilities,
            client_info=self.clientInfo,
            revision=self.protocolVersion,
        )


class Callers:
    """Tells callers by what workers pass on, and knows whose session has ended."""

    def __init__(self) -> None:
        """Know of nobody."""
        self._said: dict[tuple[str, str], Said] = {}
        self._ended: dict[tuple[str, str], None] = {}

    def opens(self, message: Envelope, principal: str, session: str) -> Caller:
        """Return who opens ``session`` with the ``initialize`` request ``message``, and remember it.

        Workers pass on what the client said with every later request; a session of HTTP+SSE alone is known here.
        """
        said = read_said(b"{}" if message.params is UNSET else bytes(message.params))
        _keep(self._said, (principal, session), said)
        return said.caller(principal, session)

    def of(self, request: http.Request) -> Caller:
        """Return on whose behalf ``request`` is.

        Raises:
            UnknownSessionError: It names a session that was ended.
        """
        principal = request.headers.get(http.PRINCIPAL_HEADER, "")
        session = request.headers.get(http.SESSION_HEADER, "")
        if (principal, session) in self._ended:
            raise UnknownSessionError("Session not found; initialize again.")
        return self.known(principal, session, request.headers)

    def known(self, principal: str, session: str, headers: Mapping[str, str]) -> Caller:
        """Return the caller with all that is known of it."""
        passed_on = headers.get(http.CLIENT_HEADER)
        if passed_on is not None:
            return read_said(passed_on.encode()).caller(principal, session)
        return self._said.get((principal, session), Said()).caller(principal, session)

    def ends(self, caller: Caller) -> None:
        """Take note that the session of ``caller`` is over."""
        key = (caller.principal, caller.session)
        self._said.pop(key, None)
        _keep(self._ended, key, None)


def read_said(text: bytes) -> Said:
    """Return what a client said; what cannot be read counts as not said."""
    try:
        return msgspec.json.decode(text, type=Said)
    except msgspec.DecodeError:
        return Said()


def _keep(kept: dict[Any, Any], key: object, value: object) -> None:
    if len(kept) >= KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
