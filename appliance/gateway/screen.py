"""Which of a server's tools clients get: those on its allow-list, and none that is held back. Pure.

Where a server's setting is to quarantine, a definition passes only if it is, by its fingerprint, one that was approved: what a
server says between two readings of its manifest is held back before the hub has heard of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from msgspec import Raw

from appliance.core.definitions import fingerprint
from appliance.gateway.protocol import wire

#: Why a tool is held back, by the routing table's word for it.
_WHY: Final = {
    "changed": "its definition changed since it was approved",
    "added": "it came after this server's tools were approved",
    "renamed": "it had another name when it was approved",
    "rejected": "it was looked at and rejected",
}
#: A tool that is not approved and that the hub has not read yet, or that there is not.
UNAPPROVED: Final = "unapproved"


class ToolRefusedError(Exception):
    """A tool was called that clients do not get.

    Args:
        name: Of the tool.
        why: Empty if it is not on the allow-list: to its caller there is no such tool.
        server: Whose it is.
    """

    def __init__(self, name: str, why: str = "", server: str = "") -> None:
        """Make the message."""
        super().__init__(_message(name, why, server))
        self.data = {"code": "tool_held", "why": why, "tool": name} if why else None


def _message(name: str, why: str, server: str) -> str:
    if why not in _WHY:
        more = " Tools that nobody has approved are held back." if why else ""
        return f"Unknown tool: {name}{'.' if more else ''}{more}"
    return (
        f"The tool {name} is held back: {_WHY[why]}. The owner of {server} or an administrator can approve it, on the "
        f"server's page under Review or with: mcpctl tools approve {server}"
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What passes of a list, and what was held back that nobody knows of yet."""

    tools: list[Raw]
    #: Fingerprints.
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Screen:
    """What one server's clients get."""

    server: str
    #: ``None``: every tool.
    allowed: frozenset[str] | None
    #: Name to why it is held back.
    held: Mapping[str, str]
    #: Name to the fingerprint that was approved; ``None``: nothing is compared.
    pinned: Mapping[str, str] | None

    def refusal(self, name: str) -> ToolRefusedError | None:
        """Return why a tool may not be called; ``None``: it may."""
        if self.allowed is not None and name not in self.allowed:
            return ToolRefusedError(name)
        if name in self.held:
            return ToolRefusedError(name, self.held[name], self.server)
        if self.pinned is not None and name not in self.pinned:
            return ToolRefusedError(name, UNAPPROVED, self.server)
        return None

    def shown(self, tools: Sequence[Raw]) -> Shown:
        """Return what of a list clients get to see."""
        passed: list[Raw] = []
        unknown: set[str] = set()
        for tool in tools:
            found = self._passed(tool, unknown)
            if found is not None:
                passed.append(found)
        return Shown(passed, frozenset(unknown))

    def for_hub(self) -> "Screen | None":
        """Return what the hub is shown: it reads definitions so that people can decide about them."""
        if self.allowed is None:
            return None
        return replace(self, held={}, pinned=None)

    def _passed(self, tool: Raw, unknown: set[str]) -> Raw | None:
        if self.pinned is None:
            return tool if self.refusal(name_of(tool)) is None else None
        try:
            value = msgspec.json.decode(tool)
            hashed = fingerprint(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not self._is_allowed(name):
            return None
        if name not in self.held and self.pinned.get(name) == hashed:
            # As it was read here, so that no client reads another definition in it.
            return Raw(wire.encode(value))
        if name not in self.held:
            unknown.add(hashed)
        return None

    def _is_allowed(self, name: str) -> bool:
        return self.allowed is None or name in self.allowed


def screen_of(
    server: str,
    allowed: frozenset[str] | None,
    held: Mapping[str, str],
    pinned: Mapping[str, str] | None,
) -> Screen | None:
    """Return what a server's clients get; ``None``: everything."""
    if allowed is None and not held and pinned is None:
        return None
    return Screen(server, allowed, held, pinned)


def name_of(tool: Raw) -> str:
    """Return the name in a definition; empty if there is none."""
    return text_of(object_of(bytes(tool)).get("name"))


def object_of(raw: bytes) -> dict[str, Raw]:
    """Return the members of a JSON object; none of anything else."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}


def text_of(raw: Raw | None) -> str:
    """Return a JSON string; empty for anything else."""
    value: Any = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else ""
