"""Time passes, counted by a clock that nobody sets. Pure.

A soak says that something ran for so long. It is counted in small spans between looks, each by the clock that goes on
since the box was started: setting the wall clock neither shortens nor lengthens it, and while the box is off nothing soaks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.governance.model import Outcome
from appliance.governance.steps.base import (
    LONGEST_S,
    Answer,
    Done,
    Reader,
    Setting,
    Wait,
    span,
)

#: Seconds between two looks at most: so much is lost when the box is switched off.
LOOK_EVERY_S = 60.0


class SoakKind:
    """Waits."""

    name = "soak"
    label = "Soak"
    help = "Waits for a time, counted by a clock that nobody can set."
    is_automatic = True
    settings: tuple[Setting, ...] = (
        Setting("seconds", "Seconds", "number", "How long; an hour is 3600, a day 86400.", "3600"),
    )  # fmt: skip

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order."""
        reader = Reader(config)
        found = {"seconds": reader.number("seconds", None, low=1, high=LONGEST_S)}
        reader.end()
        return found

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return how long it takes."""
        return f"{span(config['seconds'])} to pass"


@dataclass(frozen=True)
class Reading:
    """What the clock that nobody sets shows."""

    #: Names the start of the box that it counts from.
    boot: str
    seconds: float


def look(seconds: int, progress: Mapping[str, Any], reading: Reading) -> Answer:
    """Return whether enough time has passed.

    Args:
        seconds: How much is wanted.
        progress: What the last look wrote down.
        reading: Of the clock, now.
    """
    counted = float(progress.get("counted_s", 0.0))
    if progress.get("boot") == reading.boot:
        counted += max(0.0, reading.seconds - float(progress["read_s"]))
    if counted >= seconds:
        return Done(Outcome.PASSED, f"{span(seconds)} have passed.", {"counted_s": round(counted, 1)})  # fmt: skip
    noted = {"counted_s": counted, "boot": reading.boot, "read_s": reading.seconds}
    return Wait(min(LOOK_EVERY_S, max(0.2, seconds - counted)), noted)
