"""What a client must be able to do before a server may ask it. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

SAMPLING = "sampling/createMessage"
ELICITATION = "elicitation/create"
ROOTS = "roots/list"
ASKABLE = frozenset({SAMPLING, ELICITATION, ROOTS})


class _Params(msgspec.Struct):
    mode: str = "form"
    tools: Raw | UnsetType = UNSET


def lacking(
    method: str, params: Raw | UnsetType, capabilities: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the capabilities that ``method`` needs and the client does not have; empty: it may be asked."""
    if method == ROOTS:
        return {} if _has(capabilities, "roots") else {"roots": {}}
    asked = _params(params)
    if method == SAMPLING:
        if not _has(capabilities, "sampling"):
            return {"sampling": {}}
        is_able = asked.tools is UNSET or _has(capabilities["sampling"], "tools")
        return {} if is_able else {"sampling": {"tools": {}}}
    if not _has(capabilities, "elicitation"):
        return {"elicitation": {} if asked.mode == "form" else {asked.mode: {}}}
    modes = capabilities["elicitation"]
    # A client that names no mode knows forms: it is older than the choice.
    is_able = _has(modes, asked.mode) or (
        asked.mode == "form" and not _has(modes, "url")
    )
    return {} if is_able else {"elicitation": {asked.mode: {}}}


def _has(capabilities: object, name: str) -> bool:
    return isinstance(capabilities, Mapping) and isinstance(
        capabilities.get(name), Mapping
    )


def _params(params: Raw | UnsetType) -> _Params:
    try:
        return msgspec.json.decode(b"{}" if params is UNSET else params, type=_Params)
    except msgspec.DecodeError:
        return _Params()
