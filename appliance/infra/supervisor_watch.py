"""A part of supervisord: notices programs that die again and again, and such that hang.

Loaded by supervisord as an RPC interface, which is its only way to take in code of others. It lives in supervisord's own
process, costs none of its own, and never waits: what supervisord does meanwhile is keeping everything else running.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from appliance.infra import supervision
from appliance.infra.crash_loops import End, Verdict, judge, still_counted
from appliance.infra.heartbeat import DUMP, heartbeat_file, last_beat
from appliance.infra.process_facts import condition_of
from appliance.infra.supervision import Board, ProgramState
from appliance.infra.watchdog import Decision, Step, Watched

_ACTS: Final = {
    Step.CONTINUE: (signal.SIGCONT, "is let go on"),
    Step.DUMP: (DUMP, "is asked what it does; its log has the answer"),
    Step.END: (signal.SIGKILL, "is killed and started again"),
}
_STATES = {
    ProcessStates.RUNNING: "running",
    ProcessStates.STARTING: "starting",
    ProcessStates.BACKOFF: "waiting",
    ProcessStates.EXITED: "waiting",
    ProcessStates.STOPPING: "stopping",
    ProcessStates.FATAL: "given up",
}


@dataclass
class _Program:
    """What is remembered of one program."""

    watched: Watched
    started: float = 0.0
    restarts: int = 0
    ends: list[End] = field(default_factory=list)
    reason: str = ""
    at: float = 0.0
    was_ended: bool = False
    #: Why it was ended, between the deed and its end.
    ended_for: str = ""


class Watch:
    """Listens to supervisord's own events.

    Args:
        supervisord: The running one.
        run_dir: Where programs beat, and where is told how they are.
        patience_s: Seconds without a beat from which on something is wrong.
    """

    def __init__(self, supervisord: Any, run_dir: Path, patience_s: float) -> None:
        """Begin to listen."""
        self._supervisord = supervisord
        self._run_dir = run_dir
        self._patience_s = patience_s
        self._programs: dict[str, _Program] = {}
        self._board = Board(supervision.directory(run_dir) / "supervisord.json")
        for kind, listener in (
            (events.ProcessStateStartingEvent, self._starts),
            (events.ProcessStateRunningEvent, lambda it: self._look_at(it.process)),
            (events.ProcessStateExitedEvent, self._ended),
            (events.ProcessStateBackoffEvent, self._ended),
            (events.ProcessStateEvent, self._changed),
            (events.Tick5Event, self._look),
        ):
            events.subscribe(kind, self._guarded(listener))

    def _guarded(self, listener: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a listener that cannot take supervisord with it when it fails."""

        def heard(event: Any) -> None:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - an alarm that fails is no reason to stop the appliance
                self._say(f"the watch failed: {error!r}")

        return heard

    def _say(self, words: str) -> None:
        logger = self._supervisord.options.logger
        logger.warn(f"watch: {words}")  # noqa: G004, G010 - supervisord's own kind

    def _program(self, name: str) -> _Program:
        return self._programs.setdefault(name, _Program(Watched(self._patience_s)))

    # -- what dies again and again

    def _starts(self, event: Any) -> None:
        self._program(event.process.config.name).started = time.monotonic()
        self._look_at(event.process)

    def _ended(self, event: Any) -> None:
        process, now = event.process, time.monotonic()
        program = self._program(process.config.name)
        program.ends = [
            *still_counted(program.ends, now),
            End(now, now - program.started),
        ]
        program.restarts += 1
        program.reason = program.ended_for or _how(process)
        program.was_ended = bool(program.ended_for)
        program.ended_for, program.at = "", time.time()
        verdict = judge(program.ends, now)
        self._say(
            f"{process.config.name} is started again"
            f"{f' in {verdict.wait_s} s' if verdict.wait_s else ''}: {program.reason}"
            f"{f'; it {verdict.alarm}' if verdict.alarm else ''}"
        )
        self._put_off(process, verdict)

    def _put_off(self, process: Any, verdict: Verdict) -> None:
        """Have supervisord wait, which it can do only for what did not start."""
        if process.state == ProcessStates.EXITED and not verdict.wait_s:
            return
        process.state = ProcessStates.BACKOFF
        # Both: after a look at the clock it believes the first, and counts the other for seconds.
        process.delay = time.time() + verdict.wait_s
        process.backoff = max(1, verdict.wait_s)
        process.spawnerr = f"{verdict.alarm or 'ended early'}; waits {verdict.wait_s} s"

    # -- what hangs

    def _look(self, _event: Any) -> None:
        if self._supervisord.options.mood == SupervisorStates.RUNNING:
            for process in self._processes():
                self._look_at(process)
        self._changed(None)

    def _look_at(self, process: Any) -> None:
        name = process.config.name
        pid = process.pid if process.state == ProcessStates.RUNNING else 0
        program = self._program(name)
        beat = last_beat(heartbeat_file(self._run_dir, name))
        decision = program.watched.look(time.monotonic(), pid, beat, condition_of(pid))
        if decision.step is not Step.LEAVE:
            self._act(name, program, decision)

    def _act(self, name: str, program: _Program, decision: Decision) -> None:
        number, words = _ACTS[decision.step]
        self._say(f"{name} {words}: {decision.why}")
        program.reason, program.at = decision.why, time.time()
        if decision.step is Step.END:
            program.ended_for = decision.why
        os.kill(program.watched.pid, number)

    # -- what others are told

    def _changed(self, _event: Any) -> None:
        now = time.monotonic()
        told = {}
        for process in self._processes():
            program = self._program(process.config.name)
            told[process.config.name] = ProgramState(
                state=_STATES.get(process.state, "stopped"),
                pid=process.pid,
                restarts=program.restarts,
                reason=program.reason,
                at=program.at,
                alarm=judge(program.ends, now).alarm,
                was_ended=program.was_ended,
            )
        self._board.show(told)

    def _processes(self) -> list[Any]:
        groups = self._supervisord.process_groups.values()
        return [item for group in groups for item in group.processes.values()]


def _how(process: Any) -> str:
    if process.exitstatus is None:
        return "it ended as soon as it was started"
    if process.exitstatus < 0:
        return "it was killed by a signal"
    return f"it ended with exit code {process.exitstatus}"


def make(supervisord: Any, *, run_dir: str, patience_s: str) -> Watch:
    """Return the watch; supervisord calls this with what its configuration says."""
    return Watch(supervisord, Path(run_dir), float(patience_s))
