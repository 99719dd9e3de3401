"""What the master's children do: serve as a worker, be the bridge, or copy traces."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from appliance.gateway.announcements import Announcements
from appliance.gateway.bridge.clones import gateway_label
from appliance.gateway.bridge.containers import SessionContainers
from appliance.gateway.bridge.elder import keep_elder
from appliance.gateway.bridge.engine import Engine
from appliance.gateway.bridge.handshake import HandshakeFiles, forget_gone_containers
from appliance.gateway.bridge.kinds import Means, make_peers
from appliance.gateway.bridge.service import Bridge
from appliance.gateway.config import (
    GatewayConfig,
    departures_directory,
    handshake_directory,
    memory_files,
)
from appliance.gateway.counters import Counter, CounterRow
from appliance.gateway.edge.departures import Departures
from appliance.gateway.edge.limits import Limiter, LimitTable
from appliance.gateway.edge.worker import Worker
from appliance.gateway.http.handling import HandlerSite
from appliance.gateway.http.serving import (
    Patience,
    Told,
    run,
    served,
    unix_listener,
)
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.routes import LiveTable, RoutingTable
from appliance.gateway.signins import Signins
from appliance.gateway.snapshot import Snapshot
from appliance.gateway.traces import scribe
from appliance.gateway.traces.record import NoRecorder, Recorder
from appliance.gateway.traces.ring import Ring
from appliance.gateway.traces.spool import Spool
from appliance.infra.heartbeat import EVERY_S as BEAT_S

log = structlog.get_logger("gateway.children")

#: Workers keep their connections to the bridge; it must not be the one that closes an idle one first.
BRIDGE_KEEPALIVE_S = 3600.0
#: Seconds a worker waits for its first routing table before it takes connections without one.
LOAD_WITHIN_S = 2.0


@dataclass(frozen=True)
class WorkerPlace:
    """What a worker gets from the master; its successor gets the same."""

    listener: socket.socket
    counters: CounterRow
    snapshot: Snapshot
    limits: LimitTable
    #: Of the worker among its kind.
    index: int
    #: To be called once, when another worker should take over.
    retire: Callable[[], None]
    #: Shows the master that this worker is alive.
    beat: Callable[[], None]
    #: To be called once, when it takes connections.
    ready: Callable[[], None]


def run_worker(config: GatewayConfig, place: WorkerPlace) -> None:
    """Serve clients until told to stop or until enough calls were served. Blocking."""
    run(_worker(config, place))


def run_bridge(
    config: GatewayConfig,
    snapshot: Snapshot,
    beat: Callable[[], None],
    ready: Callable[[], None],
) -> None:
    """Serve the workers until told to stop, having called ``ready`` once they are. Blocking."""
    run(_bridge(config, snapshot, beat, ready))


def run_scribe(
    config: GatewayConfig, counters: CounterRow, beat: Callable[[], None]
) -> None:
    """Copy the workers' traces until told to stop. Blocking."""
    scribe.run_scribe(
        Path(config.trace_spool),
        config.database,
        counters,
        memory_files(config),
        beat=beat,
    )


async def _worker(config: GatewayConfig, place: WorkerPlace) -> None:
    told = Told(config.graceful_timeout_s)
    worker: Worker | None = None

    def enough() -> None:
        place.retire()
        told.ends.set()

    def changed(table: RoutingTable) -> None:
        place.counters.add(Counter.ROUTE_LOADS)
        place.snapshot.save(table)
        if worker is not None:
            worker.forget_heads()
        # After it, so that nothing new begins at what is told to be left.
        departures.changed(table)

    def renamed(host: str) -> None:
        if worker is not None:
            worker.forget_host(host)

    departures = Departures(departures_directory(config.bridge_socket))
    table = LiveTable(
        config.database,
        known=place.snapshot.load(),
        changed=changed,
        renamed=renamed,
    )
    async with (
        _in_background(_beating(place.beat)),
        _in_background(table.follow()),
        _upstreams(config) as upstreams,
        _recorder(config, place.counters) as recorder,
    ):
        worker = Worker(
            config,
            table,
            upstreams,
            place.counters,
            recorder=recorder,
            limiter=Limiter(place.limits, place.index),
            retire=enough,
        )
        # Clients are better served by workers that know their way; without any, a 503 tells more than a silent port.
        await table.known(within_s=LOAD_WITHIN_S)
        async with served(
            worker,
            place.listener,
            keepalive_s=config.keepalive_s,
            patience=told.patience,
        ) as connections:
            departures.watch(connections)
            place.ready()
            await told.ends.wait()
            if told.is_relieved:
                # No client meets a closing connection that would not have been closed anyway.
                told.take_time(Patience(config.keepalive_s, config.timeout_s))
            worker.end_streams()
            log.info("worker_draining")
    departures.close()


@contextlib.asynccontextmanager
async def _recorder(
    config: GatewayConfig, counters: CounterRow
) -> AsyncIterator[Recorder]:
    """Yield what takes traces in; what it still holds is written when it is let go of."""
    if not config.traces:
        yield NoRecorder(counters.calls)
        return
    ring = Ring(
        Spool(Path(config.trace_spool), config.trace_spool_bytes),
        asyncio.get_running_loop(),
        taken=counters.calls,
        spooled=lambda count: counters.add(Counter.TRACES_SPOOLED, count),
        dropped=lambda count: counters.add(Counter.TRACES_DROPPED, count),
    )
    try:
        yield ring
    finally:
        ring.close()


def _upstreams(config: GatewayConfig, signins: Signins | None = None) -> Upstreams:
    return Upstreams(
        config.bridge_socket,
        allow_private=config.remote_allow_private,
        signins=signins,
    )


async def _bridge(
    config: GatewayConfig,
    snapshot: Snapshot,
    beat: Callable[[], None],
    ready: Callable[[], None],
) -> None:
    told = Told(config.graceful_timeout_s)
    elder = keep_elder(Path(config.bridge_socket))
    listener = unix_listener(Path(config.bridge_socket))
    files = HandshakeFiles(handshake_directory(config.bridge_socket))
    engine = Engine(config.docker_host)
    mark = gateway_label(config.session_key, config.bridge_socket)
    containers = SessionContainers(engine, files, mark)

    def changed(table: RoutingTable) -> None:
        peers.keep_to(table.all_routes())

    table = LiveTable(config.database, known=snapshot.load(), changed=changed)
    signins = Signins(memory_files(config), config.database, config.hub_url)
    async with _upstreams(config, signins) as upstreams:
        announcements = Announcements(config.database)
        peers = make_peers(
            Means(config, table, engine, files, containers, upstreams, announcements)
        )
        bridge = Bridge(peers, table, body_limit=config.max_body_bytes, elder=elder)
        async with (
            _in_background(_beating(beat)),
            _in_background(table.follow()),
            _in_background(containers.keep_swept()),
            _in_background(forget_gone_containers(files, engine)),
            _in_background(bridge.close_idle_peers()),
            served(
                HandlerSite(bridge.handle, config.max_body_bytes),
                listener,
                keepalive_s=BRIDGE_KEEPALIVE_S,
                patience=told.patience,
            ) as connections,
        ):
            ready()
            await told.ends.wait()
            if told.is_relieved:
                for connection in [item for item in connections if not item.is_busy]:
                    connection.close()
                await bridge.hand_over(within_s=config.timeout_s)
            bridge.end_streams()
        await peers.close()
        await signins.close()


async def _beating(beat: Callable[[], None]) -> None:
    """Show that the event loop turns."""
    while True:
        beat()
        await asyncio.sleep(BEAT_S)


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
