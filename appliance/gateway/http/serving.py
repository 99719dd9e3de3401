"""Run one server in one process until it is told to stop, and then let what is open end."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from appliance.gateway.http.heads import Clock
from appliance.gateway.http.listener import Connection, Site, connection_factory
from appliance.gateway.http.outbox import Outbox

BACKLOG = 1024
#: New connections taken in one turn; few, so that a worker does not take what its idle neighbours could.
ACCEPT_AT_ONCE = 4
#: A stopping process waits a second for requests on connections that are open and idle.
LINGER_S = 1.0
TURN_S = 0.05
#: How often it is looked whether something takes too long.
SWEEP_S = 0.25


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on a fresh event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def told_to_stop() -> asyncio.Event:
    """Return what is set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def served(
    site: Site,
    listener: socket.socket,
    *,
    keepalive_s: float,
    graceful_timeout_s: float,
) -> AsyncIterator[set[Connection]]:
    """Answer requests on ``listener`` while inside; then take no more, and wait for those that are open.

    Yields the open connections.

    Args:
        site: Answers each request.
        listener: Bound and perhaps shared with other processes.
        keepalive_s: Seconds an idle connection stays open.
        graceful_timeout_s: Seconds that open requests have at the end.
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
        await _until_none(connections, LINGER_S)
        for connection in [item for item in connections if not item.is_busy]:
            connection.close()
        await _until_none(connections, graceful_timeout_s)
        sweeper.cancel()
        for connection in list(connections):
            connection.abort()
        await _until_none(connections, LINGER_S)


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


async def _until_none(connections: set[Connection], within_s: float) -> None:
    """Wait until every connection is closed; each is closed after its answer now."""
    deadline = time.monotonic() + within_s
    while connections and time.monotonic() < deadline:  # noqa: ASYNC110 - a second a lifetime
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
