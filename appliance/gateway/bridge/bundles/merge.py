"""What a bundle says of itself and lists, from what its members say and list. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from appliance.gateway.bridge.bundles.items import (
    PROMPTS,
    TOOLS,
    Item,
    Kind,
    described,
    marked,
)
from appliance.gateway.bridge.bundles.names import Names, named_uri
from appliance.gateway.members import Member
from appliance.gateway.protocol import wire

#: Characters of a bundle's instructions.
INSTRUCTIONS_LIMIT = 65_536
#: A member that was never reached may have any of these; a client that was told of none would never ask.
_UNKNOWN: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
_LISTS = ("tools", "prompts", "resources")

Listed = tuple[Member, Sequence[tuple[str, Item]]]


def opened_result(
    name: str, words: str, said: Iterable[tuple[Member, Mapping[str, Any] | None]]
) -> dict[str, Any]:
    """Return the ``initialize`` result of a bundle.

    Args:
        name: Of the bundle.
        words: What the bundle's owner says of it.
        said: The members' own results, in the bundle's order; ``None``: not reached yet.
    """
    said = list(said)
    result: dict[str, Any] = {
        "protocolVersion": wire.LEGACY_REVISIONS[0],
        "capabilities": _capabilities(hello for _, hello in said),
        "serverInfo": {"name": name, "version": "1"},
    }
    parts = [words] if words else []
    for member, hello in said:
        own = (hello or {}).get("instructions")
        if isinstance(own, str) and own:
            parts.append(f"## {member.prefix}\n\n{own}")
    if parts:
        result["instructions"] = "\n\n".join(parts)[:INSTRUCTIONS_LIMIT]
    return result


def _capabilities(said: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return what any member can; tasks and experiments are not carried, and members of bundles change."""
    found: dict[str, Any] = {"tools": {"listChanged": True}}
    for hello in said:
        own = _UNKNOWN if hello is None else hello.get("capabilities")
        if not isinstance(own, dict):
            continue
        for kind in _LISTS:
            if kind in own:
                found.setdefault(kind, {"listChanged": True})
        resources = own.get("resources")
        if isinstance(resources, dict) and resources.get("subscribe"):
            found["resources"]["subscribe"] = True
        for kind in ("logging", "completions"):
            if kind in own:
                found[kind] = {}
    return found


def list_result(kind: Kind, listed: Iterable[Listed], names: Names) -> bytes:
    """Return the result of a list: members in their order, and each one's entries in its own."""
    seen: set[str] = set()
    entries = []
    for member, items in listed:
        for own, item in items:
            shown, entry = _shown(kind, member, own, item, names=names, seen=seen)
            if shown is not None and shown not in seen:
                seen.add(shown)
                entries.append(marked(entry, member.prefix))
    return wire.encode({kind.key: entries})


def _shown(
    kind: Kind, member: Member, own: str, item: Item, *, names: Names, seen: set[str]
) -> tuple[str | None, Item]:
    if kind is TOOLS:
        name, override = names.tool(member, own), member.overrides.get(own)
        words = override.description if override is not None else ""
        return name, described(item, name=name, description=words or None)
    if kind is PROMPTS:
        name = names.prompt(member, own)
        return name, described(item, name=name)
    # The first member in order has the URI as it is; the others' own are told apart by their member.
    uri = named_uri(member, own) if own in seen else own
    return uri, described(item, **{kind.id_field: uri})


def empty_result() -> Raw:
    """Return the result that says nothing."""
    return Raw(b"{}")
