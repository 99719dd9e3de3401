"""The answer is exactly this. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations.answer import (
    STRUCTURED,
    TEXT,
    Answer,
    Verdict,
    part_of,
    shown,
)

WORD = "exact"


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``value`` and the part that it is compared with: of text the text, of anything else the structured content."""
    if "value" not in settings:
        raise InvalidError.field("expectation.value", "is required")
    value = settings["value"]
    default = TEXT if isinstance(value, str) else STRUCTURED
    return {"value": value, "on": part_of(settings, default)}


def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return whether the part equals the value; true is not 1."""
    found = answer.part(settings["on"])
    if same(found, settings["value"]):
        return Verdict(1.0)
    return Verdict(
        0.0, f"Expected {shown(settings['value'])}, and it answered {shown(found)}."
    )


def same(left: Any, right: Any) -> bool:
    """Tell whether two JSON values are the same; 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(left[name], right[name]) for name in left
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
