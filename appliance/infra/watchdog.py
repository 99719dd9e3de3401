"""When a process that gives no sign of life is helped along, and when it is ended. Pure.

Ending a process costs what it is doing, so it is the last step, after patience that grows with how busy the process is and how
often it was ended before: a box that is merely slow is left alone, and nothing is ended over and over.
"""

from dataclasses import dataclass, field
from enum import StrEnum

#: One that computes or waits for a disk has so many times the patience: it may come to an end.
BUSY_FACTOR = 4
#: How often it was ended counts for so long, and doubles the patience each time, up to this factor.
REMEMBERED_S = 3600.0
LONGEST_FACTOR = 16
#: A look that comes later than this says more of the watcher than of the watched.
LONGEST_LOOK_S = 15.0
#: Letters of ``/proc``: runs, or waits for a disk; stopped by a signal.
_BUSY = frozenset("RD")
_STOPPED = "T"


class Step(StrEnum):
    """What to do about a process."""

    LEAVE = "leave"
    #: It was stopped: let it go on, which costs nothing.
    CONTINUE = "continue"
    #: Have it write down what it does.
    DUMP = "dump"
    END = "end"


@dataclass(frozen=True)
class Condition:
    """How the system says that a process is."""

    #: Of ``/proc/<pid>/stat``.
    state: str
    #: Somebody looks into it with a debugger.
    is_traced: bool = False


@dataclass(frozen=True)
class Decision:
    """What to do, and why in words."""

    step: Step
    why: str = ""


_NOTHING = Decision(Step.LEAVE)


@dataclass
class Watched:
    """What is known of one program, over all processes that it had."""

    #: Seconds without a beat from which on something is wrong.
    patience_s: float
    pid: int = 0
    silent_s: float = 0.0
    _beat: int | None = None
    _has_beaten: bool = False
    _looked_at: float = 0.0
    _was_continued: bool = False
    _was_dumped: bool = False
    #: When it was ended, by the steady clock.
    _ended: list[float] = field(default_factory=list)

    def look(
        self, now: float, pid: int, beat: int | None, condition: Condition
    ) -> Decision:
        """Take in what is seen, and return what to do.

        Args:
            now: By a clock that nobody sets, in seconds.
            pid: Of the process; 0: it does not run.
            beat: What changes with every beat; ``None``: there is none.
            condition: Of the process.
        """
        passed_s = min(now - self._looked_at, LONGEST_LOOK_S)
        self._looked_at = now
        if not pid or pid != self.pid:
            self._begin(pid, beat)
            return _NOTHING
        if beat != self._beat:
            self._beat, self._has_beaten, self.silent_s = beat, True, 0.0
            self._was_continued = self._was_dumped = False
            return _NOTHING
        # One that has not beaten yet is starting, which may take as long as a migration does.
        if not self._has_beaten or condition.is_traced:
            return _NOTHING
        self.silent_s += passed_s
        return self._decide(now, condition)

    def _begin(self, pid: int, beat: int | None) -> None:
        # What was seen while none ran was the last beat of the one before.
        self._has_beaten = bool(pid) and not self.pid and beat != self._beat
        self.pid, self._beat, self.silent_s = pid, beat, 0.0
        self._was_continued = self._was_dumped = False

    def _decide(self, now: float, condition: Condition) -> Decision:
        self._ended = [at for at in self._ended if now - at < REMEMBERED_S]
        factor = min(2 ** len(self._ended), LONGEST_FACTOR)
        if condition.state in _BUSY:
            factor *= BUSY_FACTOR
        if self.silent_s < self.patience_s * factor:
            return _NOTHING
        why = f"no sign of life for {self.silent_s:.0f} s, {_words(condition.state)}"
        if condition.state == _STOPPED and not self._was_continued:
            self._was_continued, self.silent_s = True, 0.0
            return Decision(Step.CONTINUE, why)
        if condition.state != _STOPPED and not self._was_dumped:
            self._was_dumped = True
            return Decision(Step.DUMP, why)
        self._ended.append(now)
        self._has_beaten = False  # whatever comes of it is a new life
        return Decision(Step.END, why)


def _words(state: str) -> str:
    if state == _STOPPED:
        return "it was stopped by a signal"
    return "it is busy" if state in _BUSY else "it waits for what does not come"
