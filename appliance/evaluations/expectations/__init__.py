"""What an answer is compared with, one kind a file. Pure.

A kind is a module with three things: ``WORD``, its name in the API; ``check(settings)``, which returns the settings as they
are kept or raises ``InvalidError`` naming the field; and ``judge(settings, answer)``, which returns a ``Verdict``. What they
need is imported where it is first used: most hubs never run a test.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations import (
    error,
    exact,
    jsonpath,
    regex,
    schema,
    similarity,
)
from appliance.evaluations.expectations.answer import Answer, Verdict

__all__ = ["KINDS", "Answer", "Verdict", "checked", "judge"]


class Kind(Protocol):
    """One kind of expectation."""

    WORD: str

    @staticmethod
    def check(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings as they are kept."""

    @staticmethod
    def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
        """Return whether an answer is what was expected."""


KINDS: Mapping[str, Any] = {
    module.WORD: module
    for module in (exact, schema, jsonpath, regex, similarity, error)
}


def checked(expectation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an expectation as it is kept.

    Raises:
        InvalidError: It is of no kind that there is, or its settings make no sense; names ``expectation.…``.
    """
    word = expectation.get("kind")
    kind = KINDS.get(word) if isinstance(word, str) else None
    if kind is None:
        raise InvalidError.field(
            "expectation.kind", f"must be one of {', '.join(KINDS)}"
        )
    settings = {name: value for name, value in expectation.items() if name != "kind"}
    kept: dict[str, Any] = kind.check(settings)
    unknown = sorted(settings.keys() - kept.keys())
    if unknown:
        raise InvalidError.field(
            f"expectation.{unknown[0]}", f"is not known to kind {word}"
        )
    return {"kind": word, **kept}


def judge(expectation: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return whether an answer is what was expected; one that is an error is so only where an error was expected."""
    kind = KINDS[expectation["kind"]]
    if answer.is_error and kind is not error:
        return Verdict(0.0, f"It answered with an error: {answer.text[:300]}")
    verdict: Verdict = kind.judge(expectation, answer)
    return verdict
