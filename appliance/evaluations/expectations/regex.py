"""A regular expression (RE2) is found in the answer. Pure; in time that grows with the answer and with nothing else."""

import json
from collections.abc import Mapping
from typing import Any

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations.answer import (
    TEXT,
    Answer,
    Verdict,
    part_of,
    shown,
    text_of,
)

WORD = "regex"
MAX_PATTERN = 1000


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pattern, and the part that it is looked for in."""
    import re2  # noqa: PLC0415 - heavy, and seldom used

    pattern = text_of(settings, "pattern", MAX_PATTERN)
    try:
        re2.compile(pattern)
    except re2.error as error:
        raise InvalidError.field(
            "expectation.pattern",
            f"is no regular expression of RE2: {shown(str(error))}",
        ) from error
    return {"pattern": pattern, "on": part_of(settings, TEXT)}


def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return whether the pattern is found."""
    import re2  # noqa: PLC0415

    part = answer.part(settings["on"])
    text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
    if re2.search(settings["pattern"], text):
        return Verdict(1.0)
    return Verdict(0.0, f"{settings['pattern']} is not found in {shown(text)}")
