"""The answer is an error. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations.answer import Answer, Verdict, shown, text_of

WORD = "error"
_CLASSES = ("tool_error", "rpc_error")
MAX_TEXT = 1000


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return of which class it is, where that is asked for, and what its text holds."""
    kept: dict[str, Any] = {}
    if "class" in settings:
        if settings["class"] not in _CLASSES:
            raise InvalidError.field(
                "expectation.class", f"must be one of {', '.join(_CLASSES)}"
            )
        kept["class"] = settings["class"]
    if "contains" in settings:
        kept["contains"] = text_of(settings, "contains", MAX_TEXT)
    return kept


def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return whether it is such an error."""
    if not answer.is_error:
        return Verdict(
            0.0,
            f"Expected an error, and it answered {shown(answer.text or answer.result)}",
        )
    wanted = settings.get("class", answer.error_class)
    if wanted != answer.error_class:
        return Verdict(0.0, f"It is a {answer.error_class}, and should be a {wanted}.")
    text = settings.get("contains", "")
    if text and text not in answer.text:
        return Verdict(0.0, f"{shown(text)} is not found in {shown(answer.text)}")
    return Verdict(1.0)
