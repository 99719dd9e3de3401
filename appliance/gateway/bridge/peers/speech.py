"""The neutral form in the words of revision 2026-07-28, and back: for servers that know nothing older. Pure."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.peers.flight import fields_of, items_of, value_of
from appliance.gateway.protocol import discovery, wire
from appliance.gateway.protocol.header_values import header_text
from appliance.gateway.protocol.modern import LOG_LEVEL
from appliance.gateway.protocol.wire import Envelope

LISTEN = "subscriptions/listen"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
#: How a server calls a question of its own; fronts whose clients know questions by name use it.
INPUT_KEY = "mcp-host/inputKey"
_NAME_OF = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_RESOURCE_NOT_FOUND = -32002


@dataclass(frozen=True)
class Questions:
    """What a server wants to know before it goes on with a call."""

    #: The server's name of each question to its method and parameters.
    asked: Mapping[str, tuple[str, Raw | UnsetType]]
    #: To be brought back as it is; ``None``: nothing is.
    state: Raw | None


def meta_of(caller: Caller, level: str | None) -> dict[str, Any]:
    """Return what every request says of who asks, and from which level on it wants to hear log messages."""
    meta = discovery.meta(caller.client_info, caller.capabilities)
    if level is not None:
        meta[LOG_LEVEL] = level
    return meta


def request(
    method: str, params: Mapping[str, Any], meta: Mapping[str, Any]
) -> Envelope:
    """Return a request with the envelope that the modern era wants."""
    said = fields_of(params.get("_meta", UNSET))
    whole = {**params, "_meta": {**meta, **said}}
    return Envelope(method=method, params=Raw(wire.encode(whole)))


def headers_of(message: Envelope) -> list[tuple[str, str]]:
    """Return the headers that repeat what ``message`` is."""
    method = str(message.method)
    headers = [("MCP-Protocol-Version", discovery.REVISION), ("Mcp-Method", method)]
    name = value_of(fields_of(message.params).get(_NAME_OF.get(method, "")))
    if isinstance(name, str):
        headers.append(("Mcp-Name", header_text(name)))
    return headers


def questions_in(answer: Envelope) -> Questions | None:
    """Return what the server wants to know first; ``None``: ``answer`` is the end of the call."""
    result = fields_of(answer.result)
    if value_of(result.get("resultType")) != "input_required":
        return None
    asked = {
        key: (str(value_of(question.get("method"))), _named(question, key))
        for key, raw in fields_of(result.get("inputRequests", UNSET)).items()
        for question in (fields_of(raw),)
    }
    return Questions(asked, result.get("requestState"))


def _named(question: Mapping[str, Raw], key: str) -> Raw:
    """Return a question's parameters with what older clients need and the modern era left out."""
    params: dict[str, Any] = dict(fields_of(question.get("params", UNSET)))
    if value_of(params.get("mode")) == "url":
        params.setdefault("elicitationId", secrets.token_hex(12))
    params["_meta"] = {**fields_of(params.get("_meta", UNSET)), INPUT_KEY: key}
    return Raw(wire.encode(params))


def answered(
    params: Mapping[str, Any], answers: Mapping[str, Raw], state: Raw | None
) -> dict[str, Any]:
    """Return the parameters with which a call goes on."""
    again = {
        key: value
        for key, value in params.items()
        if key not in ("inputResponses", "requestState")
    }
    if answers:
        again["inputResponses"] = dict(answers)
    if state is not None:
        again["requestState"] = state
    return again


def in_older_words(method: str, answer: Envelope) -> Envelope:
    """Return a server's last answer as a client of an older revision can read it."""
    if answer.error is not UNSET:
        return Envelope(error=_older_error(method, answer.error))
    result: dict[str, Any] = dict(fields_of(answer.result))
    if method == "tools/list":
        result["tools"] = [_older_tool(tool) for tool in items_of(result.get("tools"))]
    elif method == "tools/call":
        structured = result.get("structuredContent")
        if structured is not None and bytes(structured).lstrip()[:1] != b"{":
            del result["structuredContent"]
    else:
        return Envelope(result=answer.result)
    return Envelope(result=Raw(wire.encode(result)))


def _older_tool(raw: Raw) -> Any:
    """Return a tool without an output that is no object: an older client would not take the whole list."""
    tool = fields_of(raw)
    schema = tool.get("outputSchema")
    if schema is None or value_of(fields_of(schema).get("type")) == "object":
        return raw
    return {key: value for key, value in tool.items() if key != "outputSchema"}


def _older_error(method: str, raw: Raw) -> Raw:
    error = value_of(raw)
    if (
        method == "resources/read"
        and isinstance(error, dict)
        and error.get("code") == wire.INVALID_PARAMS
        and isinstance(error.get("data"), dict)
        and "uri" in error["data"]
    ):
        return Raw(wire.encode({**error, "code": _RESOURCE_NOT_FOUND}))
    return raw


def untagged(note: Envelope) -> bytes:
    """Return a notification without the mark of the subscription that brought it."""
    fields: dict[str, Any] = dict(fields_of(note.params))
    meta = {
        key: value
        for key, value in fields_of(fields.pop("_meta", UNSET)).items()
        if key != SUBSCRIPTION_ID
    }
    if meta:
        fields["_meta"] = meta
    params = Raw(wire.encode(fields)) if fields else UNSET
    return wire.encode(Envelope(method=note.method, params=params))
