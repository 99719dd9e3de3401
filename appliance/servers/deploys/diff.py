"""What one deployment has otherwise than another: source, configuration and what was resolved, field by field. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.core.secret_names import looks_secret

#: In place of values whose names say that they are nobody's to read.
HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Change:
    """One field that differs; ``None``: it is not there."""

    #: Such as ``config.environment.LEVEL``.
    field: str
    before: Any
    after: Any


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the fields in which two documents differ, in order of their names."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return [
        _change(field, old.get(field), new.get(field))
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]


def _change(field: str, before: Any, after: Any) -> Change:
    if looks_secret(field.rpartition(".")[2]):
        return Change(field, _hidden(before), _hidden(after))
    return Change(field, before, after)


def _hidden(value: Any) -> Any:
    return None if value is None else HIDDEN


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield paths and values; lists are values, because their order means something."""
    if not isinstance(value, Mapping):
        if value is not None:
            yield path, value
        return
    for key, item in value.items():
        yield from _flat(item, f"{path}.{key}" if path else str(key))
