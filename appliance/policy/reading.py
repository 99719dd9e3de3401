"""Reads the fields of a rule: each reader takes a value and says in one phrase what would be right. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.core import tiers

#: Of one list.
MAX_ITEMS = 100
MAX_TEXT = 300
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MISSING = object()

Read = Callable[[Any], Any]


class ReadError(ValueError):
    """The value is not what it should be; the text says what would be right."""


@dataclass(frozen=True)
class Field:
    """One field of a rule."""

    read: Read
    default: Any = _MISSING

    @property
    def is_required(self) -> bool:
        """Whether a rule without it is wrong."""
        return self.default is _MISSING


#: What there is to read of a rule, by name.
Fields = Mapping[str, Field]


def text(value: Any) -> str:
    """Return a short text."""
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= MAX_TEXT:
        raise ReadError(f"give 1 to {MAX_TEXT} characters")
    return value.strip()


def name(value: Any) -> str:
    """Return a name: small letters, digits, ``.``, ``_`` and ``-``."""
    if not isinstance(value, str) or not _NAME.fullmatch(value.strip().lower()):
        raise ReadError(
            "give a name of at most 63 small letters, digits, '.', '_' and '-'"
        )
    return value.strip().lower()


def tier_pattern(value: Any) -> str:
    """Return a pattern of tiers in lower case."""
    if not isinstance(value, str) or not tiers.is_pattern(value):
        raise ReadError(
            "name tiers as gold:npm, gold:*, *:npm or *; classes are"
            f" {', '.join(tiers.CLASSES)}"
        )
    return value.lower()


def one_of(*choices: str) -> Read:
    """Return what reads one of these words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ReadError(f"give one of {', '.join(choices)}")
        return str(value)

    return read


def some(read: Read) -> Read:
    """Return what reads a list of at least one; a single one may stand for itself."""

    def several(value: Any) -> tuple[Any, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
            raise ReadError(f"give a list of 1 to {MAX_ITEMS}")
        return tuple(dict.fromkeys(map(read, items)))

    return several


def read_fields(
    data: Mapping[str, Any], fields: Mapping[str, Field], known: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a rule, and by field what is wrong with them.

    Args:
        data: As it was written.
        fields: What there is to read.
        known: Names besides, which somebody else reads.
    """
    values: dict[str, Any] = {}
    problems = {
        str(key): f"is no field of this rule; there are {', '.join(fields)}"
        for key in data
        if key not in fields and key not in known
    }
    for key, field in fields.items():
        if key not in data:
            if field.is_required:
                problems[key] = "is missing"
            else:
                values[key] = field.default
            continue
        try:
            values[key] = field.read(data[key])
        except ReadError as error:
            problems[key] = str(error)
    return values, problems
