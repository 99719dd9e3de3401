"""How far a backup or a restore is, told a few times a second at most."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Seconds between two words about the same step.
EVERY_S = 0.5

Tell = Callable[["Progress"], None]
#: Told of bytes as they pass; may raise to end the work.
OnBytes = Callable[[int], None]


@dataclass
class Progress:
    """Counts steps and bytes.

    Args:
        tell: Told of every step when it begins, and of bytes now and then; may raise to end the work.
    """

    tell: Tell
    of: int = 0
    number: int = 0
    step: str = ""
    bytes: int = 0
    _told_at: float = field(default=0.0, repr=False)

    def begin(self, step: str) -> None:
        """Begin the next step."""
        self.number += 1
        self.of = max(self.of, self.number)
        self.step, self.bytes = step, 0
        self._tell_now()

    def add(self, count: int) -> None:
        """Count bytes of the step."""
        self.bytes += count
        if time.monotonic() - self._told_at >= EVERY_S:
            self._tell_now()

    def _tell_now(self) -> None:
        self._told_at = time.monotonic()
        self.tell(self)

    @property
    def data(self) -> dict[str, Any]:
        """As a row and an event say it."""
        return {
            "step": self.step,
            "number": self.number,
            "of": self.of,
            "bytes": self.bytes,
        }
