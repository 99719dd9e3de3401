"""The master: forks workers, the bridge and the scribe, starts again what dies, and takes all of them with it when it goes.

It loads the code once, so that the children share its memory, and then does nothing but watch: no event loop, no threads, no
database, nothing that could die of what strangers send.
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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import structlog

from appliance.gateway.binding import bind, problem
from appliance.gateway.config import GatewayConfig, from_settings
from appliance.gateway.counters import Counters
from appliance.gateway.edge.limits import LimitTable
from appliance.gateway.processes import (
    STOPPING,
    become_mortal,
    drain,
    end,
    ended_children,
    show_as,
)
from appliance.gateway.snapshot import Snapshot

if TYPE_CHECKING:
    from appliance.settings import Settings

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


def run(settings: "Settings") -> NoReturn:
    """Become the gateway. Does not return.

    The process replaces itself by one that never loaded the libraries which read settings and commands: all gateway
    processes together are smaller for it.
    """
    from appliance.infra.postgres import database_url  # noqa: PLC0415 - not for the lean process

    config = from_settings(settings, database_url(settings))
    descriptor = os.memfd_create("gateway-config", 0)
    os.write(descriptor, config.to_json().encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    arguments = [sys.executable, "-m", "appliance.gateway", str(descriptor)]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter


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
    """

    config: GatewayConfig
    listener: socket.socket
    slots: list[Slot] = field(init=False)
    counters: Counters = field(init=False)
    limits: LimitTable = field(init=False)
    snapshot: Snapshot = field(default_factory=Snapshot)
    #: Workers that were replaced and end by themselves.
    leaving: set[int] = field(default_factory=set)
    is_stopping: bool = False

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
        self._retired_out, self._retired_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._woken_out, self._woken_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self) -> None:
        """Keep every slot filled until SIGTERM or SIGINT, then let the children end. Blocking."""
        self._listen_to_signals()
        _allow_many_connections()
        _preload(self.config)
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken_out, selectors.EVENT_READ)
            selector.register(self._retired_out, selectors.EVENT_READ)
            while not self.is_stopping:
                self._start_due()
                selector.select(self._until_next_start())
                drain(self._woken_out)
                self._replace_retired()
                self._reap()
        self._stop()

    def _listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._woken_in, warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _told_to_stop(self, *_: object) -> None:
        self.is_stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self.slots:
            if not slot.pid and slot.due <= now:
                self._fork(slot)

    def _until_next_start(self) -> float | None:
        waiting = [slot.due for slot in self.slots if not slot.pid]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

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
        log.info("child_started", child=slot.name, pid=pid)

    def _be_child(self, slot: Slot, parent: int) -> NoReturn:
        code = 1
        try:
            become_mortal(parent)
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

        if slot.index == BRIDGE:
            self.listener.close()
            children.run_bridge(self.config, self.snapshot)
            return
        if slot.index == SCRIBE:
            self.listener.close()
            children.run_scribe(self.config, self.counters.row(self.config.workers))
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
        )
        children.run_worker(self.config, place)

    def _replace_retired(self) -> None:
        for index in drain(self._retired_out):
            slot = next(item for item in self.slots if item.index == index)
            if slot.pid:
                self.leaving.add(slot.pid)
                log.info("worker_retired", child=slot.name, pid=slot.pid)
                slot.pid, slot.due = 0, 0.0

    def _reap(self) -> None:
        for pid, status in ended_children():
            if pid in self.leaving:
                self.leaving.discard(pid)
                continue
            slot = next((item for item in self.slots if item.pid == pid), None)
            if slot is not None:
                self._plan_restart(slot, status)

    def _plan_restart(self, slot: Slot, status: int) -> None:
        now = time.monotonic()
        slot.failures = slot.failures + 1 if now - slot.started < YOUNG_S else 0
        delay_s = 0.0
        if slot.failures > 1:
            delay_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (slot.failures - 2))
        slot.pid, slot.due = 0, now + delay_s
        code = os.waitstatus_to_exitcode(status)
        log.warning(
            "child_ended", child=slot.name, exit_code=code, restart_in_s=delay_s
        )

    def _stop(self) -> None:
        """End the workers, the bridge after them because their open calls need it, and the scribe when all is told."""
        self.listener.close()
        deadline = time.monotonic() + self.config.graceful_timeout_s + KILL_AFTER_S
        workers = {slot.pid for slot in self.slots if slot.index >= 0}
        end((workers | self.leaving) - {0}, deadline)
        end(self._pids(BRIDGE), time.monotonic() + KILL_AFTER_S)
        end(self._pids(SCRIBE), max(deadline, time.monotonic() + KILL_AFTER_S))
        log.info("gateway_stopped")

    def _pids(self, index: int) -> set[int]:
        return {slot.pid for slot in self.slots if slot.index == index and slot.pid}


def supervise(config: GatewayConfig) -> int:
    """Run the gateway and return its exit code. Blocking."""
    try:
        listener = bind(config)
    except OSError as error:
        print(problem(config, error), file=sys.stderr)  # noqa: T201 - for who started it
        return 1
    log.info(
        "gateway_listening", host=config.host, port=config.port, workers=config.workers
    )
    Master(config, listener).watch()
    return 0


def _allow_many_connections() -> None:
    """Raise the soft limit of open descriptors: every stream of a client takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _preload(config: GatewayConfig) -> None:
    """Load the children's code, and keep the garbage collector from touching, and so copying, what they share."""
    if config.preload:
        import appliance.gateway.children  # noqa: F401, PLC0415 - only if asked for
    gc.collect()
    gc.disable()
    gc.freeze()
