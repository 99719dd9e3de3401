"""A JSONPath (RFC 9535) finds something in the answer. Pure."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations.answer import (
    STRUCTURED,
    Answer,
    Verdict,
    part_of,
    shown,
    text_of,
)
from appliance.evaluations.expectations.exact import same

WORD = "jsonpath"
MAX_PATH = 1000
#: Each may look at everything below everything.
MAX_DESCENTS = 2


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the path, and what is expected there: ``equals`` (each that it finds), ``count``, or anything at all."""
    import jsonpath  # noqa: PLC0415 - heavy, and seldom used

    path = text_of(settings, "path", MAX_PATH)
    if path.count("..") > MAX_DESCENTS:
        raise InvalidError.field(
            "expectation.path", f"must hold .. at most {MAX_DESCENTS} times"
        )
    try:
        _environment().compile(path)
    except jsonpath.JSONPathError as error:
        raise InvalidError.field(
            "expectation.path", f"is no JSONPath: {shown(str(error), 300)}"
        ) from error
    kept: dict[str, Any] = {"path": path, "on": part_of(settings, STRUCTURED)}
    if "equals" in settings:
        kept["equals"] = settings["equals"]
    if "count" in settings:
        count = settings["count"]
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise InvalidError.field(
                "expectation.count", "must be a whole number, 0 or more"
            )
        kept["count"] = count
    return kept


def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return whether the path finds what is expected."""
    import jsonpath  # noqa: PLC0415

    part, path = answer.part(settings["on"]), settings["path"]
    if not isinstance(part, dict | list):
        return Verdict(0.0, f"The answer is no JSON: {shown(answer.text)}")
    try:
        found = _environment().compile(path).findall(part)
    except jsonpath.JSONPathError as error:
        return Verdict(0.0, f"{path} cannot be followed: {shown(str(error))}")
    if "count" in settings and len(found) != settings["count"]:
        return Verdict(
            0.0, f"{path} finds {len(found)}, and should find {settings['count']}."
        )
    if not found and settings.get("count") != 0:
        return Verdict(0.0, f"{path} finds nothing.")
    if "equals" in settings:
        for item in found:
            if not same(item, settings["equals"]):
                wanted = shown(settings["equals"])
                return Verdict(0.0, f"{path} is {shown(item)}, and should be {wanted}.")
    return Verdict(1.0)


@cache
def _environment() -> Any:
    """Return what reads paths: RFC 9535 without its regular expressions, which may take for ever; there is a kind for those."""
    import jsonpath  # noqa: PLC0415

    environment = jsonpath.JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        environment.function_extensions.pop(name, None)
    return environment
