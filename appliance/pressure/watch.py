"""Looks at the box every few seconds, and says what runs short."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from appliance.core.clock import WallClock, now
from appliance.core.errors import DomainError
from appliance.infra import disk_space, supervision
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.supervision import ProgramState
from appliance.pressure import reading, rules
from appliance.pressure.model import ClockMove, Connections, Facts, History, Limits
from appliance.settings import Settings

EVERY_S = 15.0
_CONNECTIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int, clock_timestamp()
"""
Check = Callable[[], Awaitable[str]]


class PressureWatch:
    """What is known of the box, at most a quarter of a minute old.

    Args:
        database: Whose connections are counted.
        settings: From where on something is said.
        places: Where the appliance and the engine write.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        places: Callable[[], Awaitable[Sequence[Path]]],
    ) -> None:
        """Look at the clock for the first time."""
        self._database = database
        self._places = places
        self._run_dir = settings.run_dir
        self._limits = Limits(
            settings.memory_low_percent,
            settings.process_memory_high_mib * disk_space.MIB,
            settings.used_high_percent,
            settings.disk_full_within_hours,
        )
        self._clock = WallClock()
        self._move: ClockMove | None = None
        self._history = History()
        self.facts: Facts | None = None
        self.programs: Mapping[str, ProgramState] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> Facts:
        """Find everything out anew."""
        places = await self._known_places()
        connections, ahead_s = await self._ask_postgres()
        self.programs, facts = await asyncio.to_thread(self._read, places)
        moved_s = self._clock.moved_s()
        if moved_s:
            self._move = ClockMove(moved_s, facts.at)
        self._remember(facts)
        self.facts = Facts(
            facts.at, facts.memory, facts.processes, facts.run, facts.disks, connections, ahead_s
        )  # fmt: skip
        return self.facts

    def _read(self, places: Sequence[Path]) -> tuple[Mapping[str, ProgramState], Facts]:
        programs = supervision.read(self._run_dir)
        run = disk_space.rooms([self._run_dir])
        return programs, Facts(
            time.monotonic(),
            reading.memory(),
            reading.processes(programs),
            run[0] if run else None,
            disk_space.rooms(places),
        )

    async def _known_places(self) -> Sequence[Path]:
        try:
            return await self._places()
        except DomainError:
            return ()  # of the engine its own part speaks

    async def _ask_postgres(self) -> tuple[Connections | None, float]:
        def ask() -> tuple[int, int, float]:
            cursor = self._database.peewee.execute_sql(_CONNECTIONS)
            used, limit, theirs = cursor.fetchone()
            return used, limit, (theirs - now()).total_seconds()

        try:
            used, limit, ahead_s = await self._database.run(ask)
        except DatabaseUnavailableError:
            return None, 0.0
        return Connections(used, limit), ahead_s

    def _remember(self, facts: Facts) -> None:
        """Keep what is free, for the trend; the newest hour of it."""
        for room in facts.disks:
            kept = self._history.samples.setdefault(room.place, [])
            kept.append((facts.at, room.free_bytes))
            while facts.at - kept[0][0] > rules.TREND_WITHIN_S:
                kept.pop(0)

    # -- what is said

    async def _known(self) -> Facts:
        return self.facts or await self.look()

    async def memory(self) -> str:
        """Return how much memory is left.

        Raises:
            PressureError: Little.
        """
        return rules.memory((await self._known()).memory, self._limits)

    async def processes(self) -> str:
        """Return how much our processes take.

        Raises:
            PressureError: One takes very much.
        """
        return rules.processes((await self._known()).processes, self._limits)

    async def connections(self) -> str:
        """Return how many of Postgres' connections are in use.

        Raises:
            PressureError: Nearly all.
        """
        return rules.connections((await self._known()).connections, self._limits)

    async def run_room(self) -> str:
        """Return how much room RUN_DIR has.

        Raises:
            PressureError: Little.
        """
        return rules.run_room((await self._known()).run)

    async def time(self) -> str:
        """Return how the clock goes.

        Raises:
            PressureError: Not evenly.
        """
        facts = await self._known()
        return rules.time(
            self._move, at=time.monotonic(), postgres_ahead_s=facts.postgres_ahead_s
        )

    async def supervision(self) -> str:
        """Return how the programs are.

        Raises:
            PressureError: One keeps ending.
        """
        await self._known()
        return rules.supervision(self.programs)

    def trend(self) -> str:
        """Return nothing while no disk fills.

        Raises:
            PressureError: One will soon be full.
        """
        return rules.trend(self._history.samples, self._limits)
