"""Keeps what Nginx serves as the settings and the certificates on disk say, and tells how it is.

What serves needs no Postgres: without it the controller goes on from the disk, and only nobody hears of it.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import datetime

import peewee
import structlog

from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.handed_files import Reader
from appliance.infra.waiting import set_within
from appliance.proxy import nginx, store
from appliance.proxy.configuring import Configuration, Made, make_run_dirs
from appliance.proxy.directories import prepare
from appliance.proxy.errors import NginxMissingError, ReloadError
from appliance.proxy.model import DoorState, NginxState
from appliance.proxy.orphans import dismiss
from appliance.proxy.reloading import reload
from appliance.settings import Settings

log = structlog.get_logger("proxy")

#: A look at everything, whoever may have forgotten to tell.
LOOK_S = 60.0
#: Whether Nginx is still the one that was seen.
_GLANCE_S = 2.0
#: Postgres does not answer, or the hub has not brought its schema up to date yet.
_AWAY = (DatabaseUnavailableError, peewee.ProgrammingError)
#: Changes come many at once.
_SETTLE_S = 0.3


@dataclass(frozen=True)
class _Reloaded:
    """When Nginx was reloaded last, and how long that took."""

    at: datetime | None = None
    seconds: float | None = None


class Controller:
    """Looks whenever something changed, and every minute.

    Args:
        reader: Who may read what is written for Nginx.
        changed: Set by whoever changed what Nginx serves.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        reader: Reader,
        changed: asyncio.Event,
    ) -> None:
        """Keep what it works with."""
        self._settings = settings
        self._database = database
        self._reader = reader
        self._changed = changed
        self._configuration = Configuration(settings, reader)
        self._reloaded = _Reloaded()
        self._told: tuple[object, ...] = ()
        self._is_kept = True
        self._version = ""
        self._version_asked_of: int | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        listening = asyncio.create_task(self._listen(), name="proxy-listen")
        try:
            while True:
                self._changed.clear()
                await self.look()
                await self._until_something_changes()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _until_something_changes(self) -> None:
        loop = asyncio.get_running_loop()
        # What nobody could be told is told soon: when the box starts, the hub brings the schema up to date meanwhile.
        wait_s = LOOK_S if self._is_kept else 2 * _GLANCE_S
        deadline, seen = loop.time() + wait_s, await self._master()
        while loop.time() < deadline and await self._master() == seen:
            if await set_within(self._changed, _GLANCE_S):
                await asyncio.sleep(_SETTLE_S)
                return

    async def look(self) -> DoorState:
        """Bring the configuration up to date, have Nginx take it, and tell how it is."""
        began = now()
        places = self._configuration.places
        await asyncio.to_thread(prepare, self._settings.proxy_dir, self._reader)
        await asyncio.to_thread(make_run_dirs, places)
        before = await self._last()
        made = await self._configuration.make()
        is_asked = before is not None and before.reload_asked_at is not None
        made = await self._bring_about(made, is_asked=is_asked)
        state = await self._state(made, before)
        self._tell(state)
        await self._keep(state, began if is_asked else None)
        return state

    async def _bring_about(self, made: Made, *, is_asked: bool) -> Made:
        """Reload Nginx where it serves something else, or somebody asked; return why that failed as ``problem``."""
        places = self._configuration.places
        serving = await nginx.answering(places)
        if serving is None:
            return made
        if serving.worker in await asyncio.to_thread(nginx.workers, places):
            await asyncio.to_thread(dismiss, places)
        if serving.generation != made.generation or is_asked:
            try:
                ports = self._settings.proxy_http_port, self._settings.proxy_https_port
                seconds = await reload(places, made.generation, ports=ports)
            except ReloadError as error:
                with contextlib.suppress(DomainError, OSError):
                    await self._configuration.go_back()
                return replace(made, problem=error.reason)
            self._reloaded = _Reloaded(now(), seconds)
            log.info("proxy.reloaded", seconds=round(seconds, 2))
        with contextlib.suppress(OSError):
            await self._configuration.keep_as_good()
        return made

    async def _state(self, made: Made, before: DoorState | None) -> DoorState:
        places = self._configuration.places
        serving = await nginx.answering(places)
        counts = await nginx.counts(places)
        last = self._reloaded
        if last.at is None and before is not None:
            last = _Reloaded(before.reloaded_at, before.reload_s)
        return DoorState(
            seen_at=now(),
            nginx=NginxState.RUNNING if serving else NginxState.STOPPED,
            version=await self._version_of(await self._master()),
            generation=serving.generation if serving else "",
            reloaded_at=last.at,
            reload_s=last.seconds,
            problem=made.problem,
            quarantined=made.quarantined,
            certificates=len(made.found.good),
            wildcards=sum(item.startswith("*") for item in made.found.good),
            requests=counts.requests if counts else 0,
            connections=counts.connections if counts else 0,
        )

    async def _master(self) -> int | None:
        return await asyncio.to_thread(nginx.master, self._configuration.places)

    async def _version_of(self, pid: int | None) -> str:
        if not self._version or pid != self._version_asked_of:
            self._version_asked_of = pid
            with contextlib.suppress(NginxMissingError):
                self._version = await nginx.version()
        return self._version

    # -- Postgres, which may be away

    async def _listen(self) -> None:
        async for _ in self._database.listen(store.CHANNEL, "domains", "certificates"):
            self._changed.set()

    async def _last(self) -> DoorState | None:
        try:
            return await self._database.run(store.get)
        except _AWAY:
            return None

    async def _keep(self, state: DoorState, answered_at: datetime | None) -> None:
        try:
            await self._database.run(store.put, state)
            if answered_at is not None:
                await self._database.run(store.answered, answered_at)
        except _AWAY as error:
            if self._is_kept:
                log.warning("proxy.state_not_kept", why=str(error).splitlines()[0])
            self._is_kept = False
        else:
            self._is_kept = True

    def _tell(self, state: DoorState) -> None:
        """Log what is different from the last look, once."""
        told = state.nginx, state.problem, state.quarantined
        if told == self._told:
            return
        self._told = told
        bad = [item.name for item in state.quarantined]
        write = log.warning if state.problem or bad else log.info
        write(
            "proxy.state",
            nginx=state.nginx.value,
            problem=state.problem,
            quarantined=bad,
            certificates=state.certificates,
        )
