"""What a kind of step is: its settings, and, where it works by itself, its work.

A new kind is a new file beside this one, and a line in ``steps/__init__.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from appliance.core.errors import InvalidError
from appliance.governance.model import Outcome, Run, StepRun

#: Characters of a text setting.
MAX_TEXT = 2000
#: A year; nothing here is meant to take longer.
LONGEST_S = 366 * 86400


@dataclass(frozen=True)
class Setting:
    """One setting of a kind, as a form shows it."""

    name: str
    label: str
    control: Literal["number", "text", "check", "lines"]
    help: str = ""
    default: str = ""


@dataclass(frozen=True)
class Done:
    """The step has come to its end."""

    outcome: Outcome
    summary: str
    evidence: Any = None


@dataclass(frozen=True)
class Wait:
    """Look again after so many seconds."""

    after_s: float
    #: What to remember until then; ``None``: what is remembered already.
    progress: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Told:
    """Somebody else says when it has ended; there is nothing more to do here."""

    progress: Mapping[str, Any] | None = None


Answer = Done | Wait | Told


@dataclass(frozen=True)
class Work:
    """One look at a step whose turn it is."""

    run: Run
    step: StepRun
    #: Postgres' clock.
    at: datetime
    #: The secret that outgoing calls of the run are signed with.
    secret: bytes


class StepKind(Protocol):
    """A kind of step; what it says of itself is pure."""

    #: In tables, documents and the API.
    name: str
    #: For people.
    label: str
    #: What it does, in one sentence.
    help: str
    settings: tuple[Setting, ...]
    #: Whether a job works at it; else people do.
    is_automatic: bool

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order.

        Raises:
            InvalidError: A setting is wrong; every one is named.
        """

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return what a step with these settings waits for, in one sentence."""


class Worker(Protocol):
    """Does the work of one automatic kind; run again after a crash at any line."""

    async def __call__(self, work: Work, /) -> Answer:
        """Look at the step, and do what is to be done.

        Raises:
            UnavailableError: Something is away; the look is made again, each time later.
            DomainError: The step has failed.
        """


class Reader:
    """Reads settings one after another and keeps what is wrong with them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Start with nothing read."""
        self._left = dict(config)
        self._wrong: dict[str, str] = {}

    def number(self, name: str, default: int | None, *, low: int, high: int) -> int:
        """Return a whole number; one without a default is required."""
        value = self._left.pop(name, default)
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():  # fmt: skip
            value = int(value) if len(value.strip()) <= 18 else None  # noqa: PLR2004 - digits of a bigint
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:  # fmt: skip
            self.refuse(name, f"give a whole number from {low} to {high}")
            return low
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return yes or no."""
        value = self._left.pop(name, default)
        if isinstance(value, bool):
            return value
        self.refuse(name, "give true or false")
        return default

    def text(self, name: str, *, required: bool = False) -> str:
        """Return a text, without what surrounds it."""
        value = self._left.pop(name, "")
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            self.refuse(name, f"give a text of at most {MAX_TEXT} characters")
            return ""
        text: str = value.strip()
        if required and not text:
            self.refuse(name, "is required")
        return text

    def words(self, name: str, *, required: bool = False) -> list[str]:
        """Return a list of texts; a text is taken as one a line or between commas."""
        value = self._left.pop(name, [])
        if isinstance(value, str):
            value = value.replace(",", "\n").splitlines()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):  # fmt: skip
            self.refuse(name, "give a list of texts")
            return []
        found = list(dict.fromkeys(item.strip() for item in value if item.strip()))
        if any(len(item) > MAX_TEXT for item in found) or len(found) > 100:  # noqa: PLR2004 - nobody means more
            self.refuse(name, "give at most 100 short texts")
        if required and not found:
            self.refuse(name, "name at least one")
        return found

    def anything(self, name: str, default: Any) -> Any:
        """Return whatever is there."""
        return self._left.pop(name, default)

    def refuse(self, name: str, problem: str) -> None:
        """Note that a setting is wrong."""
        self._wrong.setdefault(name, problem)

    def end(self) -> None:
        """Raise ``InvalidError`` for all that is wrong or not known."""
        for name in self._left:
            self.refuse(name, "is not known here")
        if self._wrong:
            named = ", ".join(self._wrong)
            raise InvalidError(f"Some settings are not right: {named}.", fields=self._wrong)  # fmt: skip


def span(seconds: int) -> str:
    """Return a time as people say it.

    >>> span(5400), span(86400), span(45)
    ('90 minutes', '1 day', '45 seconds')
    """
    units: tuple[tuple[str, int], ...]
    units = (("day", 86400), ("hour", 3600), ("minute", 60))
    for unit, size in units:
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"
