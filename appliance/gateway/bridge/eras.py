"""The two eras of the protocol in front of a stdio server that knows only the older one. Pure.

Legacy (2024-11-05 to 2025-11-25): ``initialize`` opens a session. Modern (2026-07-28): every request stands alone, says in
``_meta`` who asks and repeats in headers what it is, so that a gateway can route without reading; header and body must
agree.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Call
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

_PREFIX = "io.modelcontextprotocol/"
PROTOCOL_VERSION = f"{_PREFIX}protocolVersion"
CLIENT_CAPABILITIES = f"{_PREFIX}clientCapabilities"
LOG_LEVEL = f"{_PREFIX}logLevel"
SERVER_INFO = f"{_PREFIX}serverInfo"
#: What an older server has no use for.
_OF_THE_ENVELOPE = (
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    LOG_LEVEL,
    f"{_PREFIX}clientInfo",
)
_ROUTING_HEADERS = ("mcp-protocol-version", "mcp-method", "mcp-name")
_NAME_OF = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
#: Methods that the modern era no longer has.
_GONE = {
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
}
#: Results that say how long they may be kept; an older server cannot tell, so they may not.
_CACHEABLE = {
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
}
_LEVELS = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
_STATUS = {
    wire.PARSE_ERROR: 400,
    wire.INVALID_REQUEST: 400,
    wire.INVALID_PARAMS: 400,
    wire.HEADER_MISMATCH: 400,
    wire.UNSUPPORTED_VERSION: 400,
    wire.METHOD_NOT_FOUND: 404,
}
_RESOURCE_NOT_FOUND = -32002


@dataclass(frozen=True)
class Answer:
    """What a client is told, and under which HTTP status."""

    status: int
    body: bytes


class Era(Protocol):
    """How answers and notifications look to one client."""

    def answer(self, call: Call) -> Answer:
        """Return the end of ``call``."""
        ...

    def note(self, body: bytes) -> bytes | None:
        """Return a notification in mid-call; ``None``: this client does not want it."""
        ...


class Legacy:
    """As the server says it."""

    def answer(self, call: Call) -> Answer:
        """Return the server's answer under the client's id."""
        return Answer(200, call.answer_body())

    def note(self, body: bytes) -> bytes | None:
        """Return the notification unchanged."""
        return body


@dataclass(frozen=True)
class Modern:
    """A request of the modern era that keeps its rules."""

    request: Envelope
    #: The request for the server, without what it would not understand.
    onward: Envelope
    #: Of ``subscriptions/listen``: what the client wants to hear of.
    wanted: Mapping[str, Any]
    #: The least level of log messages that the client wants; ``None``: none.
    log_level: str | None

    def answer(self, call: Call) -> Answer:
        """Return the server's answer with what the modern era adds."""
        answer = call.answer
        if answer is None:
            return Answer(200, call.answer_body())
        if answer.error is not UNSET:
            return _modern_error(call.client_id, answer.error)
        fields = _fields(answer.result)
        fields.setdefault("resultType", Raw(b'"complete"'))
        if call.method in _CACHEABLE:
            fields.setdefault("ttlMs", Raw(b"0"))
            fields.setdefault("cacheScope", Raw(b'"private"'))
        return Answer(200, wire.result_body(call.client_id, wire.encode(fields)))

    def note(self, body: bytes) -> bytes | None:
        """Return the notification, unless it is a log message that the client did not ask for."""
        message = wire.decode_line(body)
        if message.method != "notifications/message":
            return body
        level = _value(_fields(message.params).get("level"))
        if self.log_level not in _LEVELS or level not in _LEVELS:
            return None
        return body if _LEVELS.index(level) >= _LEVELS.index(self.log_level) else None


class RefusalError(Exception):
    """A request does not keep the rules of the modern era.

    Args:
        rpc_code: Of the JSON-RPC error; says the HTTP status too.
        message: What is wrong.
        data: For the error.
    """

    def __init__(
        self, rpc_code: int, message: str, data: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the three."""
        super().__init__(message)
        self.rpc_code = rpc_code
        self.message = message
        self.data = data

    def answer(self, request_id: bytes) -> Answer:
        """Return it as a client is told."""
        body = wire.error_body(request_id, self.rpc_code, self.message, self.data)
        return Answer(_STATUS.get(self.rpc_code, 200), body)


def is_modern(revision: str | None, message: Envelope) -> bool:
    """Whether the modern era's rules hold for ``message``.

    Some clients that speak the modern era open with ``initialize`` nevertheless, under its header. They are let in, unless
    the message itself carries the modern envelope: then it asks for a method that its era does not have.
    """
    if revision is None or revision in wire.LEGACY_REVISIONS:
        return False
    if message.method != "initialize":
        return True
    return message.params is not UNSET and PROTOCOL_VERSION.encode() in bytes(
        message.params
    )


def check_revision(revision: object) -> None:
    """Raise ``RefusalError`` unless ``revision`` is one of the modern era's."""
    if revision not in wire.MODERN_REVISIONS:
        data = {
            "supported": [*wire.MODERN_REVISIONS, *wire.LEGACY_REVISIONS],
            "requested": revision,
        }
        raise RefusalError(
            wire.UNSUPPORTED_VERSION, "Unsupported protocol version", data
        )


def read_modern(request: Envelope, headers: Iterable[tuple[str, str]]) -> Modern:
    """Return ``request`` if it keeps the rules.

    Raises:
        RefusalError: It does not; the first rule that it breaks.
    """
    method = "" if request.method is UNSET else request.method
    fields = _fields(request.params)
    meta = _value(fields.get("_meta"))
    if (
        not isinstance(meta, dict)
        or not {PROTOCOL_VERSION, CLIENT_CAPABILITIES} <= meta.keys()
    ):
        needed = f"{PROTOCOL_VERSION} and {CLIENT_CAPABILITIES}"
        raise RefusalError(
            wire.INVALID_PARAMS, f"params._meta must be an object with {needed}."
        )
    _check_headers(headers, method, fields, meta)
    check_revision(meta[PROTOCOL_VERSION])
    if method in _GONE:
        raise RefusalError(
            wire.METHOD_NOT_FOUND, f"{meta[PROTOCOL_VERSION]} has no {method}."
        )
    wanted = _value(fields.get("notifications"))
    level = meta.get(LOG_LEVEL)
    return Modern(
        request=request,
        onward=_without_envelope(request, fields, meta),
        wanted=wanted if isinstance(wanted, dict) else {},
        log_level=level if isinstance(level, str) else None,
    )


def discover_result(opened: Mapping[str, Any]) -> bytes:
    """Return the result of ``server/discover`` for a server that said ``opened`` when it was opened."""
    result: dict[str, Any] = {
        "resultType": "complete",
        "supportedVersions": [*wire.MODERN_REVISIONS, *wire.LEGACY_REVISIONS],
        "capabilities": opened.get("capabilities", {}),
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {SERVER_INFO: opened.get("serverInfo", {})},
    }
    if opened.get("instructions"):
        result["instructions"] = opened["instructions"]
    return wire.encode(result)


def _check_headers(
    headers: Iterable[tuple[str, str]],
    method: str,
    fields: Mapping[str, Raw],
    meta: Mapping[str, Any],
) -> None:
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in found and key in _ROUTING_HEADERS:
            raise RefusalError(wire.HEADER_MISMATCH, f"{key} appears more than once.")
        found[key] = value
    if found.get("mcp-protocol-version") != meta[PROTOCOL_VERSION]:
        raise RefusalError(
            wire.HEADER_MISMATCH, "MCP-Protocol-Version and params._meta do not agree."
        )
    if found.get("mcp-method") != method:
        raise RefusalError(
            wire.HEADER_MISMATCH, "Mcp-Method and the body's method do not agree."
        )
    name_in_body = _value(fields.get(_NAME_OF.get(method, "")))
    if name_in_body is not None and header_value(found.get("mcp-name")) != name_in_body:
        raise RefusalError(
            wire.HEADER_MISMATCH,
            f"Mcp-Name and the body's {_NAME_OF[method]} do not agree.",
        )


def header_value(value: str | None) -> str | None:
    """Return what a header stands for: itself, or what ``=?base64?…?=`` holds; ``None`` if that is damaged."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    packed = value[len("=?base64?") : -len("?=")]
    try:
        unpacked = base64.b64decode(packed, validate=True)
        return (
            unpacked.decode() if base64.b64encode(unpacked).decode() == packed else None
        )
    except (binascii.Error, UnicodeDecodeError):
        return None


def _without_envelope(
    request: Envelope, fields: dict[str, Raw], meta: dict[str, Any]
) -> Envelope:
    kept = {key: value for key, value in meta.items() if key not in _OF_THE_ENVELOPE}
    params = {key: value for key, value in fields.items() if key != "_meta"}
    if kept:
        params["_meta"] = Raw(wire.encode(kept))
    return Envelope(
        id=request.id, method=request.method, params=Raw(wire.encode(params))
    )


def _modern_error(request_id: bytes, raw: Raw) -> Answer:
    error = _value(raw)
    code = error.get("code") if isinstance(error, dict) else None
    if code == _RESOURCE_NOT_FOUND:
        code = error["code"] = wire.INVALID_PARAMS
        raw = Raw(wire.encode(error))
    status = _STATUS.get(code, 200) if isinstance(code, int) else 200
    return Answer(
        status, b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id, bytes(raw))
    )


def _fields(raw: Raw | msgspec.UnsetType) -> dict[str, Raw]:
    """Return the members of an object, their values as they were written; what is no object has none."""
    try:
        return msgspec.json.decode(b"{}" if raw is UNSET else raw, type=dict[str, Raw])
    except msgspec.DecodeError:
        return {}


def _value(raw: Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)
