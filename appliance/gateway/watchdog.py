"""The master's eye on its children: who hangs is ended, and how each of them is stands where the hub can read it.

A child counts in a cell of shared memory as long as it does its work. The master beats into a file, which supervisord watches.
"""

import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from appliance.gateway.config import GatewayConfig
from appliance.infra import supervision
from appliance.infra.crash_loops import End, judge, still_counted
from appliance.infra.heartbeat import DUMP, Heartbeat, heartbeat_file
from appliance.infra.process_facts import condition_of
from appliance.infra.supervision import Board, ProgramState
from appliance.infra.watchdog import Step, Watched

log = structlog.get_logger("gateway.watchdog")

LOOK_S = 5.0
#: The scribe waits for Postgres where it works, and nobody waits for the scribe.
SCRIBE_FACTOR = 10
_CELL = 8
_SIGNALS: Final = {
    Step.CONTINUE: signal.SIGCONT,
    Step.DUMP: DUMP,
    Step.END: signal.SIGKILL,
}


class Child(Protocol):
    """A place for one child, as the master keeps it."""

    pid: int
    started: float

    @property
    def name(self) -> str:
        """What logs call it."""
        ...


class Beats:
    """One cell a child, shared by all processes of the gateway."""

    def __init__(self, children: int) -> None:
        """Map zeroed memory; before anybody is forked."""
        self._cells = memoryview(mmap.mmap(-1, children * _CELL)).cast("Q")

    def beater(self, index: int) -> Callable[[], None]:
        """Return what child ``index`` calls to show that it is alive."""

        def beat() -> None:
            self._cells[index] += 1

        return beat

    def seen(self, index: int) -> int:
        """Return what changes with every beat of child ``index``."""
        return self._cells[index]


class _Record:
    """What is remembered of one child."""

    def __init__(self, patience_s: float) -> None:
        self.watched = Watched(patience_s)
        self.restarts = 0
        self.ends: list[End] = []
        self.reason = ""
        self.at = 0.0
        self.was_ended = False
        self.ended_for = ""


class Watchdog:
    """Looks at every child, and remembers how they ended.

    Args:
        config: Of the gateway; without a ``run_dir`` nothing is told to others.
        names: Of the children, in the order of their cells.
        look_s: Seconds between two looks.
    """

    def __init__(
        self, config: GatewayConfig, names: list[str], *, look_s: float = LOOK_S
    ) -> None:
        """Map the cells, and begin to beat."""
        self._look_s = look_s
        self.beats = Beats(len(names))
        self._records = {
            name: _Record(
                config.watchdog_patience_s * (SCRIBE_FACTOR if name == "scribe" else 1)
            )
            for name in names
        }
        self._next = 0.0
        self._heart: Heartbeat | None = None
        self._board: Board | None = None
        if config.run_dir:
            run_dir = Path(config.run_dir)
            self._heart = Heartbeat(heartbeat_file(run_dir, "gateway"))
            self._board = Board(supervision.directory(run_dir) / "gateway.json")

    def due_in_s(self) -> float:
        """Return the seconds until the next look."""
        return max(0.0, self._next - time.monotonic())

    def look(self, children: list[Child]) -> None:
        """Look at everybody, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._look_s
        if self._heart:
            self._heart.beat()
        for index, child in enumerate(children):
            self._look_at(child, index, now)
        self.tell(children)

    def _look_at(self, child: Child, index: int, now: float) -> None:
        record = self._records[child.name]
        beat = self.beats.seen(index)
        found = record.watched.look(now, child.pid, beat, condition_of(child.pid))
        if found.step is Step.LEAVE:
            return
        log.warning("child_hangs", child=child.name, step=found.step, why=found.why)
        record.reason, record.at = found.why, time.time()
        if found.step is Step.END:
            record.ended_for = found.why
        os.kill(child.pid, _SIGNALS[found.step])

    def ended(self, child: Child, exit_code: int) -> None:
        """Remember that a child ended by itself."""
        now = time.monotonic()
        record = self._records[child.name]
        end = End(now, now - child.started)
        record.ends = [*still_counted(record.ends, now), end]
        record.restarts += 1
        record.reason = record.ended_for or _how(exit_code)
        record.was_ended = bool(record.ended_for)
        record.ended_for, record.at = "", time.time()

    def tell(self, children: list[Child]) -> None:
        """Write down how everybody is, for the hub."""
        if self._board is None:
            return
        now = time.monotonic()
        states = {}
        for child in children:
            record = self._records[child.name]
            states[f"gateway:{child.name}"] = ProgramState(
                state="running" if child.pid else "waiting",
                pid=child.pid,
                restarts=record.restarts,
                reason=record.reason,
                at=record.at,
                alarm=judge(record.ends, now).alarm,
                was_ended=record.was_ended,
            )
        self._board.show(states)


def _how(exit_code: int) -> str:
    if exit_code < 0:
        return f"it was killed by signal {-exit_code}"
    return f"it ended with exit code {exit_code}"
