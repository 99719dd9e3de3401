"""Job entry point and sweep: promotions follow their runs, also those whose job was lost."""

from collections.abc import Callable, Mapping
from typing import Any

from appliance.infra.database import Database
from appliance.jobs.model import Again, JobContext
from appliance.promotions import moving, store

SWEEP_EVERY_S = 60.0
#: The digest that a server's clients are sent to; ``None``: they are sent nowhere.
Live = Callable[[int], str | None]


class SynchroniseTask:
    """Has the promotion follow that hangs on a run."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Look at the run and move the promotion; run again, it changes nothing."""
        await self._database.run(moving.synchronise, int(payload["run_id"]))
        return None


class WentLiveTask:
    """Lets what serves take the place of what was active before.

    Args:
        live: The digest that a server's clients are sent to; runs inside ``database.run``.
    """

    def __init__(self, database: Database, live: Live) -> None:
        """Keep how to look."""
        self._database = database
        self._live = live

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Look whether the digest serves now; one that does not takes nobody's place."""
        server_id, digest = int(payload["server_id"]), str(payload["digest"])

        def look() -> None:
            if self._live(server_id) == digest:
                moving.take_over(server_id, digest)

        await self._database.run(look)
        return None


class Sweep:
    """Looks at every promotion on its way whose run may have gone on without it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def __call__(self) -> None:
        """Look once, each promotion in a transaction of its own."""
        for run_id in await self._database.run(store.open_with_run):
            await self._database.run(moving.synchronise, run_id)
