"""Run one aiohttp server in one process until it is told to stop, and then let what is open end."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.gateway.http.messages import Handler

BACKLOG = 1024
#: New connections taken in one turn; few, so that a worker does not take what its idle neighbours could.
ACCEPT_AT_ONCE = 4
#: A stopping process waits a second for requests on connections that are open and idle.
LINGER_TURNS = 20
LINGER_TURN_S = 0.05


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on a fresh event loop: uvloop where it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def told_to_stop() -> asyncio.Event:
    """Return what is set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def served(
    handler: Handler,
    listener: socket.socket,
    *,
    keepalive_s: float,
    graceful_timeout_s: float,
) -> AsyncIterator[None]:
    """Answer requests on ``listener`` while inside; then take no more, and wait for those that are open.

    Args:
        handler: Answers each request; cancelled when its client goes away.
        listener: Bound and perhaps shared with other processes.
        keepalive_s: Seconds an idle connection stays open.
        graceful_timeout_s: Seconds that open requests have at the end.
    """
    is_ending = False

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = await handler(request)
        if is_ending:
            response.force_close()
        return response

    server = web.Server(
        answer,
        handler_cancellation=True,
        keepalive_timeout=keepalive_s,
        access_log=None,
    )
    listening = await asyncio.get_running_loop().create_server(
        server, sock=listener, backlog=ACCEPT_AT_ONCE
    )
    listener.listen(BACKLOG)
    try:
        yield
    finally:
        listening.close()
        is_ending = True
        await _linger(server)
        server.pre_shutdown()
        await server.shutdown(graceful_timeout_s)


async def _linger(server: web.Server) -> None:
    """Answer what is on its way on connections that were taken already; each is closed after its answer."""
    for _ in range(LINGER_TURNS):
        if not server.connections:
            return
        await asyncio.sleep(LINGER_TURN_S)


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
