"""Whether a new version fails its users' calls so much more often than the one before that it is taken back. Pure."""

import math
from dataclasses import dataclass

#: Fewer calls, or fewer failures, say nothing.
MIN_CALLS = 10
MIN_FAILED = 5
#: By how much the share of failed calls must have grown, whatever the numbers say.
MIN_GROWTH = 0.1
#: Standard deviations by which it must have grown: once in some thousand times chance alone does that.
MIN_DEVIATIONS = 3.0
#: A version that crashed so often right after it went live is taken back whether anybody called it or not.
MAX_CRASHES = 2


@dataclass(frozen=True)
class Calls:
    """Calls of one version, and how many of them failed by the server's doing."""

    total: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """Of the failed ones, 0 to 1."""
        return self.failed / self.total if self.total else 0.0


def why_worse(old: Calls, new: Calls, *, crashes: int = 0) -> str | None:
    """Return in words why the new version is taken back; ``None``: it is not.

    Args:
        old: Calls of the version before, in its last minutes.
        new: Calls of the new one, since it went live.
        crashes: Of the new one, since then.
    """
    if crashes >= MAX_CRASHES:
        return f"it crashed {crashes} times since it went live."
    if new.total < MIN_CALLS or new.failed < MIN_FAILED:
        return None
    grown = new.share - old.share
    if grown < MIN_GROWTH or grown < MIN_DEVIATIONS * _deviation(old, new):
        return None
    before = f"of the version before, {old.failed} of {old.total}"
    if not old.total:
        before = "nobody called the version before"
    return f"{new.failed} of its first {new.total} calls failed; {before}."


def _deviation(old: Calls, new: Calls) -> float:
    """Return by how much two shares differ by chance if both versions were alike."""
    if not old.total:
        return 0.0
    share = (old.failed + new.failed) / (old.total + new.total)
    return math.sqrt(share * (1 - share) * (1 / old.total + 1 / new.total))
