"""Job entry points: one server's reconciliation, and the sweep that asks for everybody's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog

from appliance.core.clock import now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs.model import Again, JobContext
from appliance.jobs.queue import enqueue
from appliance.runtimes.model import ExecutorEvent
from appliance.servers import store
from appliance.servers.reconciler import Reconciler
from appliance.servers.service import RECONCILE, lane_of

log = structlog.get_logger("servers.tasks")

#: Container events after which a server is looked at.
ACTIONS = frozenset({"die", "destroy", "oom", "reconnected"})
#: Container events after which a server is asked how it is.
PAUSES = frozenset({"pause", "unpause"})
#: Asks for everybody's reconciliation.
Sweep = Callable[[], Awaitable[None]]
#: Seconds between two attempts to write down what happened.
RETRY_S = 1.0


class ReconcileTask:
    """Runs the reconciler as a job."""

    def __init__(self, reconciler: Reconciler) -> None:
        """Keep the reconciler."""
        self._reconciler = reconciler

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Reconcile ``payload["server_id"]``; ask to be run again when something is due later."""
        moment = await self._reconciler.run(int(payload["server_id"]))
        if moment is None:
            return None
        return Again(max(0.0, (moment - now()).total_seconds()))


def reconcile_all() -> None:
    """Enqueue a reconciliation of every server; those that have one waiting get no second."""
    for server_id in store.all_ids():
        enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))


async def watch_executor(
    events: AsyncIterator[ExecutorEvent],
    database: Database,
    sweep: Sweep,
    ask: Callable[[int], Awaitable[object]],
) -> None:
    """Turn what happens to instances into reconciliations, for ever.

    While Postgres cannot write, because it is away or its disk is full, the engine does not wait: what it says meanwhile may
    be lost. So everybody is looked at as soon as that can be written down again.

    Args:
        events: What happens.
        database: Where jobs are enqueued.
        sweep: Asks for everybody's reconciliation.
        ask: Has one server's health looked at.
    """
    async for event in events:
        try:
            await _pass_on(event, database, sweep, ask)
        except DatabaseUnavailableError as error:
            log.warning("executor_events_wait", reason=error.reason)
            await _sweep_when_possible(sweep)


async def _pass_on(
    event: ExecutorEvent,
    database: Database,
    sweep: Sweep,
    ask: Callable[[int], Awaitable[object]],
) -> None:
    if event.action in PAUSES and event.server_id is not None:
        await ask(event.server_id)
    if event.action not in ACTIONS:
        return
    if event.server_id is None:
        await sweep()
    else:
        await database.run(_enqueue_one, event.server_id)


async def _sweep_when_possible(sweep: Sweep) -> None:
    while True:
        await asyncio.sleep(RETRY_S)
        try:
            await sweep()
        except DatabaseUnavailableError:
            continue
        return


def _enqueue_one(server_id: int) -> None:
    enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))
