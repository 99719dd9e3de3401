"""What is different between the definitions that were approved and those that a server gives now. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from appliance.core.definitions import fingerprint
from appliance.servers.pinning.model import Definition, Difference, Kind, Pin, What

#: Of a manifest: what each entry of a list is.
_LISTS = {"tools": Kind.TOOL, "prompts": Kind.PROMPT}


def definitions_of(manifest: Mapping[str, Any]) -> tuple[Definition, ...]:
    """Return what a manifest defines; of several entries with one name the first counts, as for clients."""
    found: dict[tuple[Kind, str], Definition] = {}
    said = manifest.get("instructions")
    if isinstance(said, str) and said:
        found[Kind.INSTRUCTIONS, ""] = _definition(Kind.INSTRUCTIONS, "", said)
    for member, kind in _LISTS.items():
        entries = manifest.get(member)
        for entry in entries if isinstance(entries, list) else []:
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and (kind, name) not in found:
                found[kind, name] = _definition(kind, name, entry)
    return tuple(found.values())


def _definition(kind: Kind, name: str, value: Any) -> Definition:
    return Definition(kind, name, value, fingerprint(value))


def differences(
    pins: Iterable[Pin],
    given: Iterable[Definition],
    *,
    allowed: Collection[str] | None = None,
) -> tuple[Difference, ...]:
    """Return what is not as it was approved, in the order in which the server gives it; what is gone comes last.

    Args:
        pins: What was approved.
        given: What the server gives.
        allowed: The server's allow-list: of tools that are not on it nothing is known, so nothing is said. ``None``: all.
    """
    known = {(pin.kind, pin.name): pin for pin in pins if _is_seen(pin, allowed)}
    now = {(item.kind, item.name): item for item in given}
    gone = {key: pin for key, pin in known.items() if key not in now}
    found: list[Difference] = []
    for key, item in now.items():
        pin = known.get(key)
        if pin is None:
            found.append(_came(item, gone))
        elif pin.hash != item.hash:
            found.append(_difference(What.CHANGED, item, before=pin.value))
    found += [
        Difference(What.REMOVED, pin.kind, pin.name, "", pin.value, None, "")
        for pin in gone.values()
    ]
    return tuple(found)


def _is_seen(pin: Pin, allowed: Collection[str] | None) -> bool:
    return allowed is None or pin.kind is not Kind.TOOL or pin.name in allowed


def _came(item: Definition, gone: dict[tuple[Kind, str], Pin]) -> Difference:
    """Return what a definition without a pin is; one that is like what is gone is that under a new name."""
    likeness = _likeness(item.value)
    for key, pin in gone.items():
        if pin.kind is item.kind and _likeness(pin.value) == likeness:
            del gone[key]
            return _difference(
                What.RENAMED, item, before=pin.value, renamed_from=pin.name
            )
    return _difference(What.ADDED, item, before=None)


def _difference(
    what: What, item: Definition, *, before: Any, renamed_from: str = ""
) -> Difference:
    return Difference(
        what, item.kind, item.name, renamed_from, before, item.value, item.hash
    )


def _likeness(value: Any) -> str:
    """Return what two definitions share that differ in their names alone."""
    if not isinstance(value, dict):
        return ""
    return fingerprint({**value, "name": "", "title": ""})


def names(changed: Sequence[Difference], *, most: int = 20) -> list[str]:
    """Return what changed in a few words each, for events and logs, which stay small."""
    told = [
        f"{item.what.value} {item.kind.value} {item.name}".strip() for item in changed
    ]
    return told[:most]
