"""JSON-RPC and SSE on the wire: read the envelope, leave the rest as bytes.

``params``, ``result`` and ``error`` stay exactly as they were written (big numbers, key order, spelling), because the gateway
forwards and does not rewrite. Pure.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

#: Revisions that open with ``initialize``, the newest first.
LEGACY_REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
#: Revisions in which every request stands alone.
MODERN_REVISIONS = ("2026-07-28",)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
#: What the client that cancelled a call is told by it.
CANCELLED = -32800
#: The gateway's own: nothing runs behind the endpoint, it ended in mid-call, it took too long, the caller may not.
UNAVAILABLE = -32050
BROKEN = -32051
TIMED_OUT = -32052
REFUSED = -32053
#: The caller has no account at the remote server.
SIGN_IN = -32054
#: The same to a client that opens addresses for its person (2025-11-25).
URL_ELICITATION = -32042

NULL = b"null"
#: Messages in one JSON-RPC batch.
BATCH_LIMIT = 100


class Envelope(msgspec.Struct):
    """One JSON-RPC message whose contents were not looked at."""

    jsonrpc: str = "2.0"
    id: Raw | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class WireError(Exception):
    """A body is not one JSON-RPC message.

    Args:
        rpc_code: The JSON-RPC error code to answer with.
        message: What is wrong with it.
    """

    def __init__(self, rpc_code: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.rpc_code = rpc_code
        self.message = message


_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()
encode = _encoder.encode


def decode_batch(body: bytes) -> list[Envelope]:
    """Return the messages in ``body``: one, or those of a JSON-RPC batch.

    Raises:
        WireError: It is neither, or one of them is no message.
    """
    if body.lstrip()[:1] != b"[":
        return [decode_body(body)]
    try:
        items = msgspec.json.decode(body, type=list[Raw])
    except (ValueError, RecursionError) as error:
        raise WireError(PARSE_ERROR, f"The body is not JSON: {error}.") from error
    if not 0 < len(items) <= BATCH_LIMIT:
        raise WireError(INVALID_REQUEST, f"A batch has 1 to {BATCH_LIMIT} messages.")
    return [decode_body(bytes(item)) for item in items]


def decode_line(line: bytes) -> Envelope:
    """Return the message on one line that a server printed.

    Raises:
        WireError: It is not a JSON-RPC message: something else was printed.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return _decode_leniently(line)


def decode_lines(line: bytes) -> list[Envelope]:
    """Return the messages on one line: one, or those of a JSON-RPC batch, as servers of 2025-03-26 may print.

    Raises:
        WireError: Something else was printed.
    """
    if line[:1] != b"[":
        return [decode_line(line)]
    try:
        items = msgspec.json.decode(line, type=list[Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(PARSE_ERROR, f"not JSON-RPC: {error}") from error
    return [decode_line(bytes(item)) for item in items]


def _decode_leniently(line: bytes) -> Envelope:
    """Read what Python's own parser accepts too (``NaN``, lone surrogates), since some servers write it."""
    try:
        loaded = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireError(PARSE_ERROR, f"not JSON-RPC: {error}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("method", ""), str):
        raise WireError(
            PARSE_ERROR, "not JSON-RPC: not an object with a method or an answer"
        )
    message = Envelope(method=loaded.get("method", UNSET))
    for name in ("id", "params", "result", "error"):
        if name in loaded:
            setattr(message, name, Raw(json.dumps(loaded[name]).encode()))
    return message


def decode_body(body: bytes) -> Envelope:
    """Return the one message in a client's request.

    Raises:
        WireError: The body is not UTF-8, not JSON, a batch, or not a JSON-RPC message.
    """
    try:
        if not body.isascii():
            body.decode()
        envelope = _decoder.decode(body)
    except msgspec.ValidationError as error:
        kind = (
            "a batch; send one message a request"
            if body.lstrip()[:1] == b"["
            else f"not a JSON-RPC message: {error}"
        )
        raise WireError(INVALID_REQUEST, f"The body is {kind}.") from error
    except (ValueError, RecursionError) as error:
        raise WireError(PARSE_ERROR, f"The body is not JSON: {error}.") from error
    if envelope.id is not UNSET and bytes(envelope.id)[:1] not in b'"-0123456789':
        raise WireError(INVALID_REQUEST, "id must be a string or a number.")
    if (
        envelope.method is UNSET
        and envelope.result is UNSET
        and envelope.error is UNSET
    ):
        raise WireError(
            INVALID_REQUEST, "The body has neither method, result nor error."
        )
    return envelope


def one_line(envelope: Envelope) -> bytes:
    """Return ``envelope`` as a line for a stdio server, newline included.

    A client may have spread its JSON over several lines; within a line of the protocol none may remain.
    """
    line: bytes = encode(envelope)
    if b"\n" in line or b"\r" in line:
        line = msgspec.json.format(line, indent=-1)
    return line + b"\n"


def id_of(envelope: Envelope | None) -> bytes:
    """Return the id as it was written, or ``null``."""
    if envelope is None or envelope.id is UNSET:
        return NULL
    return bytes(envelope.id)


def string_of(raw: Raw | UnsetType) -> str:
    """Return what ``raw`` says if it is a string, else nothing."""
    try:
        found = "" if raw is UNSET else msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return ""
    return found if isinstance(found, str) else ""


def result_body(request_id: bytes, result: bytes) -> bytes:
    """Return the answer to ``request_id``."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result)


def error_body(
    request_id: bytes,
    rpc_code: int,
    message: str,
    data: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a JSON-RPC error made by the gateway itself."""
    error: dict[str, Any] = {"code": rpc_code, "message": message}
    if data:
        error["data"] = data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id, encode(error))


def answer_body(request_id: bytes, answer: Envelope) -> bytes:
    """Return a server's ``answer`` under the id that the client gave."""
    if answer.error is not UNSET:
        return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (
            request_id,
            bytes(answer.error),
        )
    result = b"{}" if answer.result is UNSET else bytes(answer.result)
    return result_body(request_id, result)


def sse_event(body: bytes) -> bytes:
    """Return ``body`` as one server-sent event.

    JSON has raw line breaks between its tokens only, where a space means the same.
    """
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\r", b" ").replace(b"\n", b" ")
    return b"event: message\ndata: " + body + b"\n\n"
