"""Arguments that a tool wants in headers too: both must agree, also before a server that reads no headers. Pure.

Which they are is known from the last list of tools that passed; before one did, a call is not held to it.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.peers.param_headers import (
    BadMarkError,
    Marks,
    headers_of,
    marks_of,
)
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.header_values import header_value
from appliance.gateway.protocol.modern import Modern, RefusalError

#: Servers whose marked tools are remembered; beyond it the oldest is forgotten.
KEPT = 1_000


class _Tool(msgspec.Struct):
    name: str
    inputSchema: Any = None  # noqa: N815 - the protocol's own name


class _Tools(msgspec.Struct):
    tools: list[_Tool]


class MarkedTools:
    """The marks of all servers' tools."""

    def __init__(self) -> None:
        """Know of none."""
        self._marks: dict[object, dict[str, Marks]] = {}

    def learn(self, place: object, result: Raw | UnsetType) -> None:
        """Read what ``tools/list`` of the server at ``place`` answered."""
        if result is UNSET:
            return
        has_marks = b'"x-mcp-header"' in bytes(result)
        if not has_marks and place not in self._marks:
            return
        with contextlib.suppress(msgspec.DecodeError):
            tools = msgspec.json.decode(result, type=_Tools).tools
            self._of(place).update((tool.name, _marks(tool)) for tool in tools)

    def check(self, place: object, asked: Modern, headers: Mapping[str, str]) -> None:
        """Raise ``RefusalError`` unless the headers say what the arguments say."""
        marks = self._marks.get(place, {}).get(asked.target)
        if asked.method != "tools/call" or not marks:
            return
        fields = modern.fields_of(asked.onward.params)
        arguments = modern.value_of(fields.get("arguments"))
        wanted = dict(headers_of(marks, arguments))
        for name in marks.values():
            header = f"Mcp-Param-{name}"
            if not _is_same(headers.get(header), wanted.get(header)):
                raise RefusalError(
                    wire.HEADER_MISMATCH, f"{header} and the argument do not agree."
                )

    def _of(self, place: object) -> dict[str, Marks]:
        if place not in self._marks and len(self._marks) >= KEPT:
            del self._marks[next(iter(self._marks))]
        return self._marks.setdefault(place, {})


def _marks(tool: _Tool) -> Marks:
    try:
        return marks_of(tool.inputSchema)
    except BadMarkError:
        return {}


def _is_same(given: str | None, wanted: str | None) -> bool:
    if given is None or wanted is None:
        return given is wanted
    said, meant = header_value(given), header_value(wanted)
    if said == meant:
        return said is not None
    with contextlib.suppress(ValueError):  # 42.0 is 42
        return float(said or "") == float(meant or "")
    return False
