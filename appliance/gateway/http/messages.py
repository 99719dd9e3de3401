"""What worker and bridge share of HTTP: bodies in, JSON-RPC answers and event streams out."""

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from appliance.core.errors import (
    DomainError,
    FailedError,
    LimitedError,
    NotFoundError,
)
from appliance.gateway.errors import (
    BodyTooLargeError,
    CallTimeoutError,
    ConnectionLostError,
    SigninNeededError,
)
from appliance.gateway.http import handling, heads
from appliance.gateway.protocol import wire

SESSION_HEADER = "Mcp-Session-Id"
VERSION_HEADER = "MCP-Protocol-Version"
#: How session ids begin that the bridge made: the server behind knows none of them.
BRIDGE_SESSION = "bridge-"
#: Worker to bridge, never from a client: on whose behalf the call is.
PRINCIPAL_HEADER = "X-Gateway-Principal"
#: To the hub alone: which instance answered. From the hub, and from workers to the bridge: which is to.
INSTANCE_HEADER = "X-Gateway-Instance"
#: From the hub alone: a call that leaves no trace.
UNTRACED_HEADER = "X-Gateway-Untraced"
#: Worker to bridge: what the session's client said of itself at ``initialize``, as JSON.
CLIENT_HEADER = "X-Gateway-Client"
#: Worker to bridge: where a client of HTTP+SSE is to post to.
ENDPOINT_HEADER = "X-Gateway-Endpoint"
#: Bridge to worker: the member of a bundle that answered.
SERVER_HEADER = "X-Gateway-Server"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
#: Proxies between us and the client close what is silent; a comment a quarter minute keeps them from it.
KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"

#: What handlers get and give. Everything that answers uses these names and the functions below, never what is behind them.
Request = handling.Request
Answer = handling.Answer
Handler = handling.Handler


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLargeError: It has more than ``limit`` bytes.
    """
    if request.body is None or len(request.body) > limit:
        raise BodyTooLargeError(f"The body is larger than {limit} bytes.")
    return request.body


def acknowledge(request: Request) -> None:
    """Tell a worker that its request is passed on now: from here on it must not be sent again."""
    request.connection.inform(heads.PROCESSING)


def empty(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer without a body."""
    return Answer(status=status, headers=headers)


def text_answer(text: str, *, status: int = 200) -> Answer:
    """Return an answer in plain words."""
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Answer(text.encode(), status=status, headers=headers)


def document(
    body: bytes,
    content_type: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return ``body`` under its media type."""
    shown = {"Content-Type": content_type, **(headers or {})}
    return Answer(body, status=status, headers=shown)


def json_answer(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return ``body``, which is JSON already."""
    shown = {"Content-Type": JSON, **(headers or {})}
    return Answer(body, status=status, headers=shown)


def failure(
    request_id: bytes,
    error: DomainError,
    data: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return a domain error as a JSON-RPC error under the HTTP status that fits it."""
    status = failure_status(error)
    headers = dict(headers or {})
    if (
        status == HTTPStatus.SERVICE_UNAVAILABLE
    ):  # and no other: those calls may have been done
        headers["Retry-After"] = "1"
    return json_answer(
        failure_body(request_id, error, data), status=status, headers=headers
    )


def failure_body(
    request_id: bytes, error: DomainError, data: Mapping[str, Any] | None = None
) -> bytes:
    """Return a domain error as JSON-RPC."""
    _, rpc_code = _status(error)
    known: Mapping[str, Any] = getattr(error, "data", {})
    return wire.error_body(
        request_id,
        wire.URL_ELICITATION if _is_to_opener(error) else rpc_code,
        error.reason,
        {"code": error.code} | dict(known) | dict(data or {}),
    )


def _is_to_opener(error: DomainError) -> bool:
    return isinstance(error, SigninNeededError) and error.is_to_opener


def failure_status(error: DomainError) -> int:
    """Return the HTTP status that fits a domain error."""
    return _status(error)[0]


def refusal(request_id: bytes, error: wire.WireError, status: int = 400) -> Answer:
    """Return what is wrong with a body as a JSON-RPC error."""
    return json_answer(
        wire.error_body(request_id, error.rpc_code, error.message), status=status
    )


async def event_stream(
    request: Request, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a started stream of server-sent events."""
    response = Answer(
        headers={
            "Content-Type": EVENT_STREAM,
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
            **(headers or {}),
        }
    )
    await response.prepare(request)
    return response


@contextlib.asynccontextmanager
async def keep_alive(response: Answer) -> Any:
    """Send a comment whenever ``KEEP_ALIVE_S`` have passed; the stream may be written to meanwhile."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            with contextlib.suppress(ConnectionError):
                await response.write(KEEP_ALIVE)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


def accepts_events(request: Request) -> bool:
    """Whether the client can read an event stream."""
    accepted = request.headers.get("Accept", "")
    return EVENT_STREAM in accepted or "text/*" in accepted or "*/*" in accepted


#: The first class that fits an error says its HTTP status and JSON-RPC code.
_STATUS: tuple[tuple[type[DomainError], int, int], ...] = (
    (NotFoundError, 404, wire.INVALID_REQUEST),
    (BodyTooLargeError, 413, wire.INVALID_REQUEST),
    (LimitedError, 429, wire.UNAVAILABLE),
    (CallTimeoutError, 504, wire.TIMED_OUT),
    (ConnectionLostError, 502, wire.BROKEN),
    (FailedError, 502, wire.BROKEN),
    # As an answer of the server's: 401 and 403 would send the client to sign in here once more.
    (SigninNeededError, 200, wire.SIGN_IN),
    (DomainError, 503, wire.UNAVAILABLE),
)


def _status(error: DomainError) -> tuple[int, int]:
    return next(
        (status, code) for kind, status, code in _STATUS if isinstance(error, kind)
    )
