"""Requests of the era in which each stands alone. Pure.

Legacy (2024-11-05 to 2025-11-25): ``initialize`` opens a session. Modern (2026-07-28): every request says in ``_meta`` who
asks and repeats in headers what it is, so that a gateway can route without reading; header and body must agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.protocol import wire
from appliance.gateway.protocol.header_values import header_value
from appliance.gateway.protocol.wire import Envelope

_PREFIX = "io.modelcontextprotocol/"
PROTOCOL_VERSION = f"{_PREFIX}protocolVersion"
CLIENT_CAPABILITIES = f"{_PREFIX}clientCapabilities"
CLIENT_INFO = f"{_PREFIX}clientInfo"
LOG_LEVEL = f"{_PREFIX}logLevel"
SERVER_INFO = f"{_PREFIX}serverInfo"
#: What an older server has no use for.
_OF_THE_ENVELOPE = (
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    LOG_LEVEL,
    CLIENT_INFO,
)
#: Of a client that comes back with answers.
_OF_THE_RETRY = ("requestState", "inputResponses")
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
_STATUS = {
    wire.PARSE_ERROR: 400,
    wire.INVALID_REQUEST: 400,
    wire.INVALID_PARAMS: 400,
    wire.HEADER_MISMATCH: 400,
    wire.UNSUPPORTED_VERSION: 400,
    wire.MISSING_CAPABILITY: 400,
    wire.METHOD_NOT_FOUND: 404,
}


@dataclass(frozen=True)
class Modern:
    """A request of the modern era that keeps its rules."""

    request: Envelope
    #: The request for the server, without what it would not understand.
    onward: Envelope
    #: What the client can be asked for, and who it says it is.
    capabilities: Mapping[str, Any]
    client_info: Mapping[str, Any]
    #: Of ``subscriptions/listen``: what the client wants to hear of.
    wanted: Mapping[str, Any]
    #: The least level of log messages that the client wants; empty: none.
    log_level: str
    #: Of a client that comes back: what it was given to come back with, and what it answers.
    request_state: str | None
    input_responses: Mapping[str, Raw]

    @property
    def method(self) -> str:
        """What is asked for."""
        return "" if self.request.method is UNSET else self.request.method

    @property
    def target(self) -> str:
        """The tool, prompt or resource that it is about; empty: none."""
        name = value_of(
            fields_of(self.onward.params).get(_NAME_OF.get(self.method, ""))
        )
        return name if isinstance(name, str) else ""


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

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return status_of(self.rpc_code)

    def body(self, request_id: bytes) -> bytes:
        """Return it as a client is told."""
        return wire.error_body(request_id, self.rpc_code, self.message, self.data)


def status_of(rpc_code: object) -> int:
    """Return the HTTP status under which a JSON-RPC error is sent."""
    return _STATUS.get(rpc_code, 200) if isinstance(rpc_code, int) else 200


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
    fields = fields_of(request.params)
    meta = value_of(fields.get("_meta"))
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
    level, state = meta.get(LOG_LEVEL), value_of(fields.get("requestState"))
    return Modern(
        request=request,
        onward=_without_envelope(request, fields, meta),
        capabilities=_object(meta[CLIENT_CAPABILITIES]),
        client_info=_object(meta.get(CLIENT_INFO)),
        wanted=_object(value_of(fields.get("notifications"))),
        log_level=level if isinstance(level, str) else "",
        request_state=state if isinstance(state, str) else None,
        input_responses=fields_of(fields.get("inputResponses", UNSET)),
    )


def discover_result(opened: Mapping[str, Any]) -> bytes:
    """Return the result of ``server/discover`` for a server that said ``opened`` when it was opened."""
    result: dict[str, Any] = {
        "resultType": "complete",
        "supportedVersions": [*wire.MODERN_REVISIONS, *wire.LEGACY_REVISIONS],
        "capabilities": {
            # Tasks are another protocol in this era.
            name: value
            for name, value in _object(opened.get("capabilities")).items()
            if name != "tasks"
        },
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
    name_in_body = value_of(fields.get(_NAME_OF.get(method, "")))
    if name_in_body is not None and header_value(found.get("mcp-name")) != name_in_body:
        raise RefusalError(
            wire.HEADER_MISMATCH,
            f"Mcp-Name and the body's {_NAME_OF[method]} do not agree.",
        )


def _without_envelope(
    request: Envelope, fields: dict[str, Raw], meta: dict[str, Any]
) -> Envelope:
    kept = {key: value for key, value in meta.items() if key not in _OF_THE_ENVELOPE}
    left_out = ("_meta", *_OF_THE_RETRY)
    params = {key: value for key, value in fields.items() if key not in left_out}
    if kept:
        params["_meta"] = Raw(wire.encode(kept))
    return Envelope(
        id=request.id, method=request.method, params=Raw(wire.encode(params))
    )


def fields_of(raw: Raw | msgspec.UnsetType) -> dict[str, Raw]:
    """Return the members of an object, their values as they were written; what is no object has none."""
    try:
        return msgspec.json.decode(b"{}" if raw is UNSET else raw, type=dict[str, Raw])
    except msgspec.DecodeError:
        return {}


def value_of(raw: Raw | None) -> Any:
    """Return what ``raw`` says; ``None`` if it is missing."""
    return None if raw is None else msgspec.json.decode(raw)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
