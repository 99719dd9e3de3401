"""The answer's text is much like another, by Jaro-Winkler. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations.answer import Answer, Verdict, shown, text_of

WORD = "similarity"
#: Characters; comparing takes time that grows with the product of both lengths.
MAX_TEXT = 20_000


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the text, and how much like it the answer must be at least, above 0 and up to 1."""
    least = settings.get("at_least", 0.9)
    if (
        isinstance(least, bool)
        or not isinstance(least, int | float)
        or not 0 < least <= 1
    ):
        raise InvalidError.field(
            "expectation.at_least", "must be above 0 and at most 1, such as 0.9"
        )
    return {"text": text_of(settings, "text", MAX_TEXT), "at_least": float(least)}


def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return how much alike both texts are."""
    from rapidfuzz.distance import JaroWinkler  # noqa: PLC0415 - heavy, and seldom used

    score = float(
        JaroWinkler.normalized_similarity(settings["text"], answer.text[:MAX_TEXT])
    )
    least = settings["at_least"]
    if score >= least:
        return Verdict(score)
    return Verdict(
        score,
        f"It is alike to {score:.3f}, and should be to {least:g}: {shown(answer.text)}",
    )
