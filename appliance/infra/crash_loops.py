"""When a program that keeps ending is started again, and when that is an alarm. Pure.

Supervisord backs off from programs that do not start. One that starts and dies a moment later it starts again at once, always.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: A process that lived for so long died of something else than its start.
YOUNG_S = 60.0
#: Early ends count for so long.
COUNTED_S = 300.0
FIRST_WAIT_S = 1
LONGEST_WAIT_S = 30
#: So many early ends are an alarm, or so many of any kind in the longer time.
EARLY_ENDS = 3
ENDS, ENDS_WITHIN_S = 5, 1800.0


@dataclass(frozen=True)
class End:
    """One process of a program ended by itself."""

    #: By a clock that nobody sets, in seconds.
    at: float
    lived_s: float


@dataclass(frozen=True)
class Verdict:
    """What follows from how a program ended so far."""

    #: Seconds until it is started again; 0: at once.
    wait_s: int = 0
    #: Why somebody should look at it; empty: nobody needs to.
    alarm: str = ""


def judge(ends: Sequence[End], now: float) -> Verdict:
    """Return what follows from the ends of one program, the newest last."""
    early = [end for end in ends if end.lived_s < YOUNG_S and now - end.at < COUNTED_S]
    recent = [end for end in ends if now - end.at < ENDS_WITHIN_S]
    is_early = bool(ends) and ends[-1].lived_s < YOUNG_S
    wait_s = 0
    if is_early and len(early) > 1:
        # The first is made good at once, because most ends are single ones.
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (len(early) - 2))
    if len(early) >= EARLY_ENDS:
        return Verdict(wait_s, f"ended {len(early)} times soon after its start")
    if len(recent) >= ENDS:
        return Verdict(wait_s, f"ended {len(recent)} times within half an hour")
    return Verdict(wait_s)


def still_counted(ends: Sequence[End], now: float) -> list[End]:
    """Return the ends that may yet matter."""
    return [end for end in ends if now - end.at < ENDS_WITHIN_S]
