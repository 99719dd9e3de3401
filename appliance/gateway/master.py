"""The master: forks workers, the bridge and the scribe, starts again what dies, and takes all of them with it when it goes.

It loads the code once, so that the children share its memory, and then does nothing but watch: no event loop, no threads, no
database, nothing that could die of what strangers send. On SIGUSR2 it becomes the release that counts by then (``handover``).
Should it be killed all the same, the children serve on until the next one relieves them (``roll``).
"""

import contextlib
import gc
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import structlog

from appliance.gateway.config import GatewayConfig
from appliance.gateway.counters import Counters
from appliance.gateway.edge.limits import LimitTable
from appliance.gateway.handover import Handed
from appliance.gateway.processes import (
    ORPHANED,
    STOPPING,
    become_mortal,
    drain,
    end,
    ended_children,
    kill,
    show_as,
)
from appliance.gateway.roll import enrolled
from appliance.gateway.snapshot import Snapshot
from appliance.gateway.watchdog import Watchdog
from appliance.infra.heartbeat import DUMP
from appliance.infra.memory import give_back
from appliance.infra.process_facts import born_at
from appliance.infra.turns import State

log = structlog.get_logger("gateway.master")

BRIDGE = -1
SCRIBE = -2
#: A child that lived for so long died of something else than its start, and its successor starts at once.
YOUNG_S = 10.0
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0
_NAMES = {BRIDGE: "bridge", SCRIBE: "scribe"}
#: Beyond GW_GRACEFUL_TIMEOUT, until a child that does not end is killed.
KILL_AFTER_S = 2.0
#: Told to a child that another has taken over from it.
RELIEVED = signal.SIGUSR2
_SCRIBE_NAME = "scribe"
_TRIED_WELL = 0
#: Not lost between two programs, and not deadly where nobody listens yet.
_HELD_BACK = {*STOPPING, RELIEVED, DUMP}


@dataclass(eq=False)
class Slot:
    """A place for one child."""

    #: Of a worker, or ``BRIDGE``, or ``SCRIBE``.
    index: int
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    #: When the next child may be started, by the monotonic clock.
    due: float = 0.0

    @property
    def name(self) -> str:
        """What logs call it."""
        return _NAMES.get(self.index, f"worker-{self.index}")


@dataclass
class Master:
    """Watches the children.

    Args:
        config: Of the gateway.
        listener: What the workers share.
        elders: Children of a predecessor, by process id. They serve until those of this master do.
    """

    config: GatewayConfig
    listener: socket.socket
    elders: dict[int, str] = field(default_factory=dict)
    turn: int = 1
    slots: list[Slot] = field(init=False)
    counters: Counters = field(init=False)
    limits: LimitTable = field(init=False)
    watchdog: Watchdog = field(init=False)
    snapshot: Snapshot = field(default_factory=Snapshot)
    #: Workers that were replaced and end by themselves.
    leaving: set[int] = field(default_factory=set)
    is_stopping: bool = False
    is_serving: bool = False
    wants_successor: bool = False
    trial: int = 0
    refusals: int = 0
    refused: str = ""

    def __post_init__(self) -> None:
        """Lay out the slots, the bridge first: workers need it."""
        self.slots = [
            Slot(BRIDGE),
            *([Slot(SCRIBE)] if self.config.traces else []),
            *(Slot(index) for index in range(self.config.workers)),
        ]
        # The last row is the scribe's.
        self.counters = Counters(self.config.workers + 1)
        self.limits = LimitTable(self.config.workers)
        self.watchdog = Watchdog(self.config, [slot.name for slot in self.slots])
        self._retired_out, self._retired_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._ready_out, self._ready_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        #: Slots whose children have not taken connections yet.
        self._awaited = {slot.index for slot in self.slots if slot.index != SCRIBE}
        self._woken_out, self._woken_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self) -> None:
        """Keep every slot filled until SIGTERM or SIGINT, then let the children end. Blocking."""
        self._listen_to_signals()
        _allow_many_connections()
        _preload(self.config)
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken_out, selectors.EVENT_READ)
            selector.register(self._retired_out, selectors.EVENT_READ)
            selector.register(self._ready_out, selectors.EVENT_READ)
            self._tell()
            self._reap()
            while not self.is_stopping:
                self._start_due()
                self.watchdog.look([*self.slots])
                selector.select(self._until_next_start())
                drain(self._woken_out)
                self._replace_retired()
                self._count_ready()
                self._reap()
                self._try_successor()
        self._stop()

    def _listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._woken_in, warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGUSR2, self._told_to_hand_over)
        # A predecessor blocked them until somebody listens.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def _told_to_stop(self, *_: object) -> None:
        self.is_stopping = True

    def _told_to_hand_over(self, *_: object) -> None:
        self.wants_successor = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self.slots:
            if not slot.pid and slot.due <= now:
                self._fork(slot)

    def _until_next_start(self) -> float:
        """Return how long there is nothing to do but to look at the children."""
        waiting = [slot.due for slot in self.slots if not slot.pid]
        look_s = self.watchdog.due_in_s()
        return min([look_s, *(max(0.0, due - time.monotonic()) for due in waiting)])

    def _fork(self, slot: Slot) -> None:
        slot.started = time.monotonic()
        parent = os.getpid()
        # Until the child has its own handlers, a signal would run the master's in it and be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        pid = os.fork()
        if pid == 0:
            self._be_child(slot, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        slot.pid = pid
        self._enrol()
        log.info("child_started", child=slot.name, pid=pid)

    def _be_child(self, slot: Slot, parent: int) -> NoReturn:
        code = 1
        try:
            # There may only be one scribe, and nobody waits for it.
            told = STOPPING[0] if slot.index == SCRIBE else ORPHANED
            become_mortal(parent, told)
            show_as(slot.name)
            gc.enable()
            self._serve(slot)
            code = 0
        except BaseException:
            log.exception("child_failed", child=slot.name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _serve(self, slot: Slot) -> None:
        # Loaded here and not above: without GW_PRELOAD the master loads little.
        from appliance.gateway import children  # noqa: PLC0415

        beat = self.watchdog.beats.beater(self.slots.index(slot))
        if slot.index == BRIDGE:
            self.listener.close()
            ready = self._ready(slot)
            children.run_bridge(self.config, self.snapshot, beat, ready)
            return
        if slot.index == SCRIBE:
            self.listener.close()
            row = self.counters.row(self.config.workers)
            children.run_scribe(self.config, row, beat)
            return

        def retire() -> None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._retired_in, slot.index.to_bytes(1))

        row = self.counters.row(slot.index)
        place = children.WorkerPlace(
            listener=self.listener,
            counters=row,
            snapshot=self.snapshot,
            limits=self.limits,
            index=slot.index,
            retire=retire,
            beat=beat,
            ready=self._ready(slot),
        )
        children.run_worker(self.config, place)

    def _ready(self, slot: Slot) -> Callable[[], None]:
        def ready() -> None:
            give_back()
            with contextlib.suppress(BlockingIOError):
                os.write(self._ready_in, slot.index.to_bytes(1, signed=True))

        return ready

    def _count_ready(self) -> None:
        found = drain(self._ready_out)
        # As signed bytes: the bridge is below zero.
        self._awaited -= {byte - 256 if byte > 127 else byte for byte in found}  # noqa: PLR2004
        if not self._awaited and not self.is_serving:
            self.is_serving = True
            self._relieve()
            self._tell()

    def _relieve(self) -> None:
        """Have the predecessor's children end in their own time, the scribe at once: there may only be one."""
        for pid, name in self.elders.items():
            number = signal.SIGTERM if name == _SCRIBE_NAME else RELIEVED
            kill(pid, number)
            log.info("child_relieved", child=name, pid=pid)

    def _try_successor(self) -> None:
        """Have the release that counts now try whether it would come up, unless that is being done."""
        if not self.wants_successor or self.trial:
            return
        self.wants_successor = False
        command = [*self.config.command, "--check"]
        self.trial = os.fork()
        if self.trial == 0:
            try:
                become_mortal(os.getppid())
                os.execv(command[0], command)  # noqa: S606 - our own command
            finally:
                os._exit(127)
        log.info("handover_tried", command=command, pid=self.trial)

    def _judge_trial(self, code: int) -> None:
        self.trial = 0
        if code == _TRIED_WELL:
            self._hand_over()
            return
        self._refuse(
            f"The trial of the new release ended with exit code {code}; the gateway's log has its words."
        )

    def _hand_over(self) -> None:
        """Become the successor. Returns only if there is no such program."""
        children = self._names()
        handed = Handed(
            self.listener.fileno(), self.snapshot.descriptor, children, self.turn
        )
        command = [*self.config.command, "--handed", str(handed.store())]
        log.info("handing_over", children=len(children))
        sys.stdout.flush()
        # What comes now is for the successor.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        signal.set_wakeup_fd(-1)
        try:
            os.execv(command[0], command)  # noqa: S606 - our own command
        except OSError as error:
            signal.set_wakeup_fd(self._woken_in, warn_on_full_buffer=False)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
            self._refuse(f"{command[0]} cannot be started: {error.strerror}.")

    def _refuse(self, why: str) -> None:
        self.refused = why
        self.refusals += 1
        log.error("handover_refused", why=why)
        self._tell()

    def _tell(self) -> None:
        state = State(
            self.config.release,
            os.getpid(),
            self.turn,
            is_serving=self.is_serving,
            leaving=len(self.elders),
            refusals=self.refusals,
            refused=self.refused,
        )
        _noted(state.write, self._place)

    def _enrol(self) -> None:
        roll = enrolled(self.listener.fileno(), self.snapshot.descriptor, self._names())
        _noted(roll.write, self._place)

    @property
    def _place(self) -> Path:
        """Where others look for what we write down."""
        return Path(self.config.bridge_socket).parent

    def _names(self) -> dict[int, str]:
        """Return what those who may live are called, by process id."""
        names = dict(self.elders)
        names |= dict.fromkeys(self.leaving, "worker")
        return names | {slot.pid: slot.name for slot in self.slots if slot.pid}

    def _replace_retired(self) -> None:
        for index in drain(self._retired_out):
            slot = next(item for item in self.slots if item.index == index)
            if slot.pid:
                self.leaving.add(slot.pid)
                log.info("worker_retired", child=slot.name, pid=slot.pid)
                slot.pid, slot.due = 0, 0.0

    def _reap(self) -> None:
        for pid, status in ended_children():
            if self._was_leaving(pid):
                continue
            if pid == self.trial:
                self._judge_trial(os.waitstatus_to_exitcode(status))
                continue
            slot = next((item for item in self.slots if item.pid == pid), None)
            if slot is not None:
                self._plan_restart(slot, status)
        # Those of a predecessor that was killed are not our children.
        for pid in [item for item in self.elders if born_at(item) is None]:
            self._was_leaving(pid)

    def _was_leaving(self, pid: int) -> bool:
        if pid in self.elders:
            log.info("elder_ended", child=self.elders.pop(pid), pid=pid)
            self._tell()
            return True
        if pid in self.leaving:
            self.leaving.discard(pid)
            return True
        return False

    def _plan_restart(self, slot: Slot, status: int) -> None:
        now = time.monotonic()
        slot.failures = slot.failures + 1 if now - slot.started < YOUNG_S else 0
        delay_s = 0.0
        if slot.failures > 1:
            delay_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (slot.failures - 2))
        slot.pid, slot.due = 0, now + delay_s
        code = os.waitstatus_to_exitcode(status)
        self.watchdog.ended(slot, code)
        log.warning(
            "child_ended", child=slot.name, exit_code=code, restart_in_s=delay_s
        )

    def _stop(self) -> None:
        """End the workers, the bridge after them because their open calls need it, and the scribe when all is told."""
        self.listener.close()
        deadline = time.monotonic() + self.config.graceful_timeout_s + KILL_AFTER_S
        if self.trial:
            end({self.trial}, time.monotonic() + KILL_AFTER_S)
        workers = {slot.pid for slot in self.slots if slot.index >= 0}
        workers |= self.leaving | self._elders("worker")
        end(workers - {0}, deadline)
        bridges = self._pids(BRIDGE) | self._elders("bridge")
        end(bridges, time.monotonic() + KILL_AFTER_S)
        scribes = self._pids(SCRIBE) | self._elders(_SCRIBE_NAME)
        end(scribes, max(deadline, time.monotonic() + KILL_AFTER_S))
        log.info("gateway_stopped")

    def _pids(self, index: int) -> set[int]:
        return {slot.pid for slot in self.slots if slot.index == index and slot.pid}

    def _elders(self, kind: str) -> set[int]:
        return {pid for pid, name in self.elders.items() if name.startswith(kind)}


def _noted(write: Callable[[Path], None], directory: Path) -> None:
    """Write something down for others; a full disk is no reason to end."""
    try:
        write(directory)
    except OSError as error:
        log.warning("not_written_down", directory=str(directory), error=str(error))


def _allow_many_connections() -> None:
    """Raise the soft limit of open descriptors: every stream of a client takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _preload(config: GatewayConfig) -> None:
    """Load the children's code, and keep the garbage collector from touching, and so copying, what they share.

    What loading used is given back before: each child would have its own copy of what it takes of that.
    """
    if config.preload:
        import appliance.gateway.children  # noqa: F401, PLC0415 - only if asked for
    gc.collect()
    give_back()
    gc.disable()
    gc.freeze()
