"""What a client is told when its request is not carried. Pure."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from appliance.core.errors import DomainError, LimitedError, UnavailableError
from appliance.gateway.edge.admittance import PostOnlyError
from appliance.gateway.edge.agreement import DisagreementError
from appliance.gateway.edge.keys import BadToken, Denial
from appliance.gateway.edge.scopes import ScopeError
from appliance.gateway.edge.states import ForeignStateError
from appliance.gateway.errors import (
    BridgeAwayError,
    ConnectionLostError,
    NotRunningError,
    UnknownSessionError,
)
from appliance.gateway.http.client import NotConnectedError, UnansweredError
from appliance.gateway.http.messages import failure_status
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route
from appliance.gateway.screen import ToolRefusedError

#: A request that breaks a rule. To others it is answered as a ``DomainError``.
REFUSALS: Final = (
    wire.WireError,
    ToolRefusedError,
    DisagreementError,
    ForeignStateError,
    PostOnlyError,
    ScopeError,
)


_WORDS: Final = {
    Denial.NO_KEY: "A key or an access token is needed: Authorization: Bearer <key>.",
    Denial.UNKNOWN_KEY: "The key is not known or has expired.",
}


def refused(error: Exception, request_id: Raw) -> tuple[int, bytes, str]:
    """Return HTTP status, body and error class for one of ``REFUSALS``."""
    raw = bytes(request_id)
    if isinstance(error, DisagreementError):
        body = wire.error_body(raw, error.rpc_code, error.message, error.data)
        return 400, body, "rule_broken"
    if isinstance(error, ToolRefusedError):
        body = wire.error_body(raw, wire.INVALID_PARAMS, str(error), error.data)
        return 200, body, "tool_held" if error.data else "tool_refused"
    if isinstance(error, ForeignStateError):
        body = wire.error_body(raw, wire.INVALID_PARAMS, str(error))
        return 400, body, "foreign_state"
    if isinstance(error, ScopeError):
        body = wire.error_body(
            raw,
            wire.REFUSED,
            str(error),
            {"code": "insufficient_scope", "scope": " ".join(sorted(error.needed))},
        )
        return 403, body, "insufficient_scope"
    if isinstance(error, PostOnlyError):
        text = "This revision of the protocol knows only POST."
        return 405, wire.error_body(raw, wire.INVALID_REQUEST, text), "rule_broken"
    code = error.rpc_code if isinstance(error, wire.WireError) else wire.INVALID_REQUEST
    return 400, wire.error_body(wire.NULL, code, str(error)), "not_json_rpc"


def broken(route: Route, error: OSError, *, is_direct: bool) -> DomainError:
    """Return what a lost or impossible connection means."""
    if isinstance(error, PermissionError):
        return UnavailableError(f"The server's address may not be called: {error}.")
    if not is_direct and isinstance(error, (NotConnectedError, UnansweredError)):
        return BridgeAwayError(
            "The bridge to stdio servers does not answer.",
            hint="It is started again by itself.",
        )
    if isinstance(error, NotConnectedError):
        return NotRunningError(
            f"{route.name} runs, but does not accept connections: {error}."
        )
    return ConnectionLostError(
        "The connection to the server broke; whether the call was done is not known."
    )


def session_gone() -> DomainError:
    """Return what a session means that its server has forgotten and does not open again."""
    return UnknownSessionError("Session not found; initialize again.")


def state(route: Route, error: DomainError) -> dict[str, Any] | None:
    """Return what to add about a server that does not run."""
    if not isinstance(error, NotRunningError):
        return None
    return {"status": route.status, "status_reason": route.status_reason}


def lines(error: DomainError) -> bytes:
    """Return further header lines for the answer to ``error``."""
    if isinstance(error, LimitedError):
        return f"Retry-After: {error.retry_after_s}\r\n".encode()
    # No other: those calls may have been done.
    is_unavailable = failure_status(error) == HTTPStatus.SERVICE_UNAVAILABLE
    return b"Retry-After: 1\r\n" if is_unavailable else b""


def denied(
    denial: Denial | BadToken | None, challenge: Callable[..., str] | None = None
) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return status, body and headers for who is not let in.

    Args:
        denial: Why; ``None``: nobody can be, yet.
        challenge: Makes ``WWW-Authenticate`` of ``error`` and ``description``.
    """
    if denial is None:
        text = "The gateway has just started and does not know its servers yet."
        body = wire.error_body(wire.NULL, wire.UNAVAILABLE, text)
        return 503, body, [("Retry-After", "1")]
    if denial is Denial.NOT_FOUND:
        text = "There is no such server, or this key does not open it."
        return 404, wire.error_body(wire.NULL, wire.REFUSED, text), []
    text = (
        f"The access token is not taken: {denial.why}."
        if isinstance(denial, BadToken)
        else _WORDS[denial]
    )
    body = wire.error_body(wire.NULL, wire.REFUSED, text)
    fields = {} if denial is Denial.NO_KEY else {"error": "invalid_token"}
    if isinstance(denial, BadToken):
        fields["description"] = denial.why
    shown = challenge(**fields) if challenge is not None else "Bearer"
    return 401, body, [("WWW-Authenticate", shown)]


def foreign() -> bytes:
    """Return what a browser's page from elsewhere is told."""
    text = "This Origin or Host may not call the gateway; PUBLIC_URL names its own."
    return wire.error_body(wire.NULL, wire.REFUSED, text)
