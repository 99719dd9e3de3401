"""Run one server in one process until it is told to stop, and then let what is open end."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from appliance.gateway.http.heads import Clock
from appliance.gateway.http.listener import Connection, Site, connection_factory
from appliance.gateway.http.outbox import Outbox
from appliance.gateway.processes import ORPHANED

BACKLOG = 1024
#: New connections taken in one turn; few, so that a worker does not take what its idle neighbours could.
ACCEPT_AT_ONCE = 4
#: A stopping process waits a second for requests on connections that are open and idle.
LINGER_S = 1.0
#: Serves on for so long when its master is gone.
ORPHANED_S = 15.0
TURN_S = 0.05
#: How often it is looked whether something takes too long.
SWEEP_S = 0.25


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on a fresh event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@dataclass
class Patience:
    """How long a process that ends waits for its clients. May be changed while it does."""

    #: Seconds for requests on connections that are open and idle, and then for requests that are open.
    idle_s: float
    open_s: float


class Told:
    """What this process was told to do by signals.

    Args:
        graceful_timeout_s: Seconds that open requests have when it is told to stop.
    """

    def __init__(self, graceful_timeout_s: float) -> None:
        """Listen to them from now on."""
        #: Set by SIGTERM, SIGINT, and SIGUSR2, which says that others have taken over and nothing hurries.
        self.ends = asyncio.Event()
        self.is_relieved = False
        self._graceful_timeout_s = graceful_timeout_s
        self.patience = Patience(LINGER_S, graceful_timeout_s)
        loop = asyncio.get_running_loop()
        self._alone: asyncio.TimerHandle | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGUSR2, self._relieved)
        loop.add_signal_handler(ORPHANED, self._orphaned)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})

    def stop(self) -> None:
        """End soon, also when it was relieved before."""
        self.patience.idle_s = LINGER_S
        self.patience.open_s = self._graceful_timeout_s
        self.is_relieved = False
        self.ends.set()

    def take_time(self, patience: Patience) -> None:
        """Wait longer for clients, unless told to stop."""
        self.patience.idle_s, self.patience.open_s = patience.idle_s, patience.open_s

    def _orphaned(self) -> None:
        """Serve on until the next master comes, but not for ever: perhaps none does."""
        if not self.ends.is_set():
            loop = asyncio.get_running_loop()
            self._alone = loop.call_later(ORPHANED_S, self.stop)

    def _relieved(self) -> None:
        if self._alone is not None:
            self._alone.cancel()
        if not self.ends.is_set():
            self.is_relieved = True
            self.ends.set()


@contextlib.asynccontextmanager
async def served(
    site: Site,
    listener: socket.socket,
    *,
    keepalive_s: float,
    patience: Patience,
) -> AsyncIterator[set[Connection]]:
    """Answer requests on ``listener`` while inside; then take no more, and wait for those that are open.

    Yields the open connections.

    Args:
        site: Answers each request.
        listener: Bound and perhaps shared with other processes.
        keepalive_s: Seconds an idle connection stays open.
        patience: At the end.
    """
    clock, outbox = Clock(), Outbox()
    connections: set[Connection] = set()
    listening = await asyncio.get_running_loop().create_server(
        connection_factory(site, clock, outbox, connections),
        sock=listener,
        backlog=ACCEPT_AT_ONCE,
    )
    listener.listen(BACKLOG)
    sweeper = asyncio.create_task(_sweep(clock, outbox, connections, keepalive_s))
    try:
        yield connections
    finally:
        listening.close()
        clock.is_ending = True
        await _until_none(connections, lambda: patience.idle_s)
        for connection in [item for item in connections if not item.is_busy]:
            connection.close()
        await _until_none(connections, lambda: patience.open_s)
        sweeper.cancel()
        for connection in list(connections):
            connection.abort()
        await _until_none(connections, lambda: LINGER_S)


async def _sweep(
    clock: Clock, outbox: Outbox, connections: set[Connection], keepalive_s: float
) -> None:
    """End what takes too long, for ever: one timer for all connections."""
    while True:
        await asyncio.sleep(SWEEP_S)
        now = clock.turn()
        outbox.turn(now)
        for connection in list(connections):
            connection.check(now, keepalive_s)


async def _until_none(
    connections: set[Connection], within_s: Callable[[], float]
) -> None:
    """Wait until every connection is closed; each is closed after its answer now."""
    started = time.monotonic()
    while connections and time.monotonic() < started + within_s():  # noqa: ASYNC110 - once a lifetime
        await asyncio.sleep(TURN_S)


def unix_listener(path: Path) -> socket.socket:
    """Return a listener at ``path`` for this user alone; one that is there already is replaced without a gap."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)  # noqa: FBT003 - the library's own signature
    old_mask = os.umask(0o177)
    try:
        listener.bind(str(scratch))
    finally:
        os.umask(old_mask)
    listener.listen(BACKLOG)
    scratch.replace(path)
    return listener
