"""What a server of the older era says, as the newer one has it. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Ask, Call
from appliance.gateway.bridge.fronts.exchange import Ending
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.capabilities import ELICITATION, lacking
from appliance.gateway.protocol.modern import fields_of

#: Results that say how long they may be kept; an older server cannot tell, so they may not.
_CACHEABLE = {
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
}
#: Codes of the older era that the newer one does not have.
_RESOURCE_NOT_FOUND = -32002
_URL_ELICITATION_REQUIRED = -32042
#: Under this name in a question's ``_meta`` a server says under which key it wants to be answered.
_KEY_HINT = "mcp-host/inputKey"
_KEY_BYTES = 128


def result_of(call: Call, server_info: object) -> Ending:
    """Return the server's result with what the modern era adds."""
    assert call.answer is not None  # noqa: S101 - the call is over and did not break
    fields = fields_of(call.answer.result)
    fields.setdefault("resultType", Raw(b'"complete"'))
    if call.method in _CACHEABLE:
        fields.setdefault("ttlMs", Raw(b"0"))
        fields.setdefault("cacheScope", Raw(b'"private"'))
    return Ending(
        wire.result_body(call.client_id, wire.encode(_signed(fields, server_info)))
    )


def error_of(
    call: Call, capabilities: Mapping[str, Any], server_info: object
) -> Ending:
    """Return the server's error as the modern era has it."""
    assert call.answer is not None  # noqa: S101 - the call is over and did not break
    assert call.answer.error is not UNSET  # noqa: S101 - it is an error
    error = fields_of(call.answer.error)
    code = modern.value_of(error.get("code"))
    if code == _URL_ELICITATION_REQUIRED:
        return _url_elicitations(call, error, capabilities, server_info)
    if code == _RESOURCE_NOT_FOUND:
        code, error["code"] = wire.INVALID_PARAMS, Raw(b"%d" % wire.INVALID_PARAMS)
    body = b'{"jsonrpc":"2.0","id":%b,"error":%b}'
    return Ending(
        body
        % (call.client_id, wire.encode(error) if error else bytes(call.answer.error)),
        modern.status_of(code),
    )


def input_required(
    request_id: bytes,
    requests: Mapping[str, Any],
    server_info: object,
    state: str | None = None,
) -> Ending:
    """Return the end of an exchange whose client must answer first."""
    fields: dict[str, Any] = {
        "resultType": "input_required",
        "inputRequests": requests,
    } | ({"requestState": state} if state else {})
    return Ending(
        wire.result_body(request_id, wire.encode(_signed(fields, server_info)))
    )


def question(ask: Ask) -> dict[str, Any]:
    """Return what the server asks, as the client finds it among the input requests."""
    fields = fields_of(ask.params)
    # The newer era has neither: the client comes back, and that is the end of it.
    fields.pop("elicitationId", None)
    meta = fields_of(fields.pop("_meta", UNSET))
    meta.pop("progressToken", None)
    meta.pop(_KEY_HINT, None)
    if meta:
        fields["_meta"] = Raw(wire.encode(meta))
    return {"method": ask.method, "params": fields}


def key_of(ask: Ask) -> str:
    """Return the key under which the client is to answer: the server's own word for it, or ours."""
    meta = fields_of(fields_of(ask.params).get("_meta", UNSET))
    hint = wire.string_of(meta.get(_KEY_HINT, UNSET))
    return hint if 0 < len(hint.encode()) <= _KEY_BYTES else ask.key


def missing_capability(
    request_id: bytes, missing: Mapping[str, Any], method: str
) -> Ending:
    """Return the refusal of a request whose client cannot be asked ``method``."""
    body = wire.error_body(
        request_id,
        wire.MISSING_CAPABILITY,
        f"The server needs to ask for {method}, which the client does not support.",
        {"requiredCapabilities": missing},
    )
    return Ending(body, modern.status_of(wire.MISSING_CAPABILITY))


def _url_elicitations(
    call: Call,
    error: Mapping[str, Raw],
    capabilities: Mapping[str, Any],
    server_info: object,
) -> Ending:
    """Return the pages that a person must visit first, as questions; the client then calls again."""
    data = modern.value_of(error.get("data"))
    listed = data.get("elicitations") if isinstance(data, dict) else None
    asks = [item for item in listed or () if isinstance(item, dict)]
    params = Raw(b'{"mode":"url"}')
    missing = lacking(ELICITATION, params, capabilities)
    if missing or not asks:
        return missing_capability(call.client_id, missing, ELICITATION)
    requests = {
        str(item.get("elicitationId") or number): {
            "method": ELICITATION,
            "params": {
                key: value for key, value in item.items() if key != "elicitationId"
            },
        }
        for number, item in enumerate(asks)
    }
    return input_required(call.client_id, requests, server_info)


def _signed(fields: dict[str, Any], server_info: object) -> dict[str, Any]:
    """Return a result that names the server."""
    given = fields.get("_meta", UNSET)
    meta = fields_of(given if isinstance(given, Raw) else UNSET)
    if server_info:
        meta.setdefault(modern.SERVER_INFO, Raw(wire.encode(server_info)))
    return {**fields, "_meta": meta} if meta else fields
