"""Sees to it that every name has a certificate: reads what is wanted, lays files, has orders carried out, tells how it stands.

It runs in the front door's process and remembers nothing that counts: after a crash it reads the same rows and goes on.
While Postgres is away, what lies on the disk is served, and orders wait.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import structlog

from appliance.certificates import store, view
from appliance.certificates.answers import Answers
from appliance.certificates.box import box_of
from appliance.certificates.first import ensure_box_certificate
from appliance.certificates.laying import Layer
from appliance.certificates.lifecycle import Forget, Order, Revoke, Step, Wait
from appliance.certificates.model import (
    Certificate,
    Kind,
    Standing,
    Status,
    Wish,
)
from appliance.certificates.ordering import Orderer
from appliance.certificates.plan import (
    Index,
    names_to_order,
    standing,
)
from appliance.certificates.shelf import Shelf
from appliance.certificates.telling import happened
from appliance.certificates.view import View
from appliance.core.clock import now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.handed_files import Reader
from appliance.infra.sealing import Sealer
from appliance.infra.waiting import set_within
from appliance.settings import Settings

log = structlog.get_logger("certificates")

#: A look at everything, whoever may have forgotten to tell; also how soon a clock that was set is noticed.
LOOK_S = 60.0
#: Changes that come together are looked at once.
_TOGETHER_S = 0.1
_AWAY_S = 2.0
#: So many times as long as a look takes, none follows it.
_REST = 2
#: Orders under way at once.
ORDERS_AT_ONCE = 4
_CHANNELS = ("certificates", "domains")
#: A server's name came or went.
_BASE_CHANNELS = (*_CHANNELS, "routes")


class Keeper:
    """Keeps certificates until cancelled.

    Args:
        reader: Who serves the files.
        wanted: The names of servers that shall have one; runs inside ``database.run``.
        tell: Is told how a wish stands, whenever that changes; runs inside ``database.run``.
        changed: Called when Nginx has to be told: a wildcard's file came or went.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        reader: Reader,
        wanted: Callable[[], list[Wish]],
        tell: Callable[[str, Standing], None],
        changed: Callable[[], None],
    ) -> None:
        """Keep the parts; nothing is read yet."""
        sealer = Sealer(*settings.jwt_secrets)
        self._database = database
        self._settings = settings
        self._box = box_of(settings)
        self._wanted = wanted
        self._tell = tell
        self._layer = Layer(
            database,
            settings,
            shelf=Shelf(settings.proxy_dir, reader),
            sealer=sealer,
            told=changed,
        )
        self._orderer = Orderer(database, settings, sealer, Answers(settings, reader))
        self._wake = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._told: dict[str, Standing] = {}
        self._is_away = False

    async def prepare(self, host: str) -> None:
        """Have something to serve for ``host`` at once; what is good there stays. Needs no Postgres."""
        await self._layer.prepare(host)

    async def run(self) -> None:
        """Keep until cancelled."""
        await asyncio.to_thread(self._layer.begin)
        await asyncio.to_thread(ensure_box_certificate, self._settings)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._look_always())
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _listen(self) -> None:
        ordered_apart = self._box.can_order and not self._box.ways.can_set_records
        by_server = self._box.base_domain is not None and ordered_apart
        channels = _BASE_CHANNELS if by_server else _CHANNELS
        async for _ in self._database.listen(*channels):
            self._wake.set()

    async def _look_always(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                wait_s = await self.look()
                self._is_away = False
            except DatabaseUnavailableError as error:
                if not self._is_away:
                    log.warning("certificates.database_away", error=error.detail)
                self._is_away = True
                wait_s = _AWAY_S
            took_s = loop.time() - began
            await set_within(self._wake, wait_s)
            # Where there are thousands, a look takes a while: the process has other things to do, too.
            await asyncio.sleep(max(_TOGETHER_S, _REST * took_s))
            self._wake.clear()

    async def look(self) -> float:
        """Do all that is to be done now, and return in how many seconds to look again.

        Raises:
            DatabaseUnavailableError: Postgres is away; what lies on the disk is served.
        """
        await self._layer.adopt()
        seen = await self._database.run(view.read, self._box, self._wanted)
        index, at = Index(seen.certificates), now()
        # Who brings a certificate for the box's own name wants it to be seen.
        own = Wish(self._settings.box_names[0], Kind.UPLOADED, is_box=True)
        await self._layer.lay(seen.wishes, index, index.served(own, at))
        planned = await asyncio.to_thread(view.plan, seen, self._box, at)
        for item in planned:
            if item.mended is not None:
                await self._database.run(self._keep_mended, item)
            await self._do(item.certificate, item.step, seen.hosts)
        steps = {item.certificate.id: item.step for item in planned}
        await self._tell_all(seen, index, steps)
        return _pause_s(steps.values())

    def _keep_mended(self, item: view.Planned) -> None:
        if item.mended is not None:
            store.change(
                item.certificate.id,
                attempted_at=item.mended.attempted_at,
                next_attempt_at=item.mended.next_attempt_at,
            )

    async def _do(self, item: Certificate, step: Step, hosts: frozenset[str]) -> None:
        if item.id in self._under_way:
            return
        match step:
            case Order():
                if len(self._under_way) < ORDERS_AT_ONCE:
                    self._begin(item, self._order(item, hosts))
            case Revoke():
                if len(self._under_way) < ORDERS_AT_ONCE:
                    self._begin(item, self._orderer.revoke(item))
            case Forget():
                await self._database.run(store.forget, item.id)
            case Wait():
                await self._look_at_window(item)

    async def _order(self, item: Certificate, hosts: frozenset[str]) -> None:
        names = names_to_order(item, hosts, self._box)
        if set(names) != set(item.names):
            await self._database.run(self._rename, item.id, names)
            item = await self._database.run(store.get, item.id)
        await self._orderer.order(item)

    def _rename(self, certificate_id: int, names: tuple[str, ...]) -> None:
        store.change(
            certificate_id, names=list(names), order_url="", next_key_sealed=None
        )
        happened(certificate_id, "changed", f"From now on for {', '.join(names)}.")

    async def _look_at_window(self, item: Certificate) -> None:
        is_due = item.window_check_at is not None and item.window_check_at <= now()
        is_ours = item.status is Status.VALID and item.kind is Kind.ACME
        if is_due and is_ours and len(self._under_way) < ORDERS_AT_ONCE:
            self._begin(item, self._orderer.look_at_window(item))

    def _begin(self, item: Certificate, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._carried_out(item.id, work))
        self._under_way[item.id] = task

    async def _carried_out(
        self, certificate_id: int, work: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await work
        except DatabaseUnavailableError:
            log.warning("certificates.interrupted", certificate_id=certificate_id)
            await asyncio.sleep(_AWAY_S)
        except Exception:
            # One that nobody foresaw must not end the others; it is tried again with the next look, at the earliest.
            log.exception("certificates.work_broke", certificate_id=certificate_id)
            await asyncio.sleep(LOOK_S)
        finally:
            self._under_way.pop(certificate_id, None)
            self._wake.set()

    async def _tell_all(
        self, seen: View, index: Index, steps: Mapping[int, Step]
    ) -> None:
        at = now()
        fresh: dict[str, Standing] = {}
        for wish in seen.wishes:
            ordered = next((item for item in index.of(wish.host) if item.kind is Kind.ACME), None)  # fmt: skip
            step = steps.get(ordered.id) if ordered else None
            why = step.why if isinstance(step, Wait) else ""
            fresh[wish.host] = standing(wish, index.served(wish, at), ordered, why)
        changed = {host: item for host, item in fresh.items() if self._told.get(host) != item}  # fmt: skip
        if changed:
            await self._database.run(self._tell_these, changed)
        self._told = fresh

    def _tell_these(self, changed: Mapping[str, Standing]) -> None:
        for host, item in changed.items():
            self._tell(host, item)


def _pause_s(steps: Collection[Step]) -> float:
    at = now()
    untils = [step.until for step in steps if isinstance(step, Wait) and step.until]
    soonest = min(((until - at).total_seconds() for until in untils), default=LOOK_S)
    return min(max(soonest, _TOGETHER_S), LOOK_S)
