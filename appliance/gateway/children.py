"""What the master's children do: serve as a worker, or be the bridge."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from appliance.gateway.bridge import Bridge
from appliance.gateway.config import GatewayConfig, handshake_directory
from appliance.gateway.counters import Counter, CounterRow
from appliance.gateway.engine import Engine
from appliance.gateway.handshake import HandshakeFiles
from appliance.gateway.routes import LiveTable
from appliance.gateway.serving import run, served, told_to_stop, unix_listener
from appliance.gateway.upstream import Upstreams
from appliance.gateway.worker import Worker

log = structlog.get_logger("gateway.children")

#: Workers keep their connections to the bridge; it must not be the one that closes an idle one first.
BRIDGE_KEEPALIVE_S = 3600.0


def run_worker(
    config: GatewayConfig,
    listener: socket.socket,
    counters: CounterRow,
    *,
    retire: Callable[[], None],
) -> None:
    """Serve clients until told to stop or until enough calls were served. Blocking.

    Args:
        config: Of the gateway.
        listener: Shared with the other workers.
        counters: This worker's figures.
        retire: Called once, when another worker should take over.
    """
    run(_worker(config, listener, counters, retire))


def run_bridge(config: GatewayConfig) -> None:
    """Serve the workers until told to stop. Blocking."""
    run(_bridge(config))


async def _worker(
    config: GatewayConfig,
    listener: socket.socket,
    counters: CounterRow,
    retire: Callable[[], None],
) -> None:
    stop = told_to_stop()

    def enough() -> None:
        retire()
        stop.set()

    table = LiveTable(
        config.database, changed=lambda: counters.add(Counter.ROUTE_LOADS)
    )
    async with _in_background(table.follow()), _upstreams(config) as upstreams:
        worker = Worker(config, table, upstreams, counters, retire=enough)
        async with served(
            worker.handle,
            listener,
            keepalive_s=config.keepalive_s,
            graceful_timeout_s=config.graceful_timeout_s,
        ):
            await stop.wait()
            worker.end_streams()
            log.info("worker_draining")


def _upstreams(config: GatewayConfig) -> Upstreams:
    return Upstreams(config.bridge_socket, allow_private=config.remote_allow_private)


async def _bridge(config: GatewayConfig) -> None:
    stop = told_to_stop()
    listener = unix_listener(Path(config.bridge_socket))
    files = HandshakeFiles(handshake_directory(config.bridge_socket))
    bridge = Bridge(
        Engine(config.docker_host),
        files,
        line_limit=config.max_body_bytes,
        start_timeout_s=config.start_timeout_s,
    )
    async with served(
        bridge.handle,
        listener,
        keepalive_s=BRIDGE_KEEPALIVE_S,
        graceful_timeout_s=config.graceful_timeout_s,
    ):
        await stop.wait()
        bridge.end_streams()
    await bridge.close()


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
