"""From the ``mcp-host proxy`` command to the process that keeps the front door."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass

import structlog

from appliance.certificates.keeper import Keeper
from appliance.domains.work import make_checker
from appliance.infra.database import Database
from appliance.infra.handed_files import Reader
from appliance.infra.heartbeat import Heartbeat, heartbeat_file
from appliance.infra.postgres import database_url
from appliance.observability import logs
from appliance.proxy import certified
from appliance.proxy.controller import Controller
from appliance.proxy.directories import prepare
from appliance.proxy.ports import Work
from appliance.proxy.working import keep_going
from appliance.settings import Settings

log = structlog.get_logger("proxy")

#: Threads, and connections, for all that works here.
_DATABASE_POOL = 4


@dataclass(frozen=True)
class Room:
    """What everything that works in this process shares."""

    settings: Settings
    #: Postgres may be away: whoever asks for more than a moment waits and asks again.
    database: Database
    #: Who may read what is written for Nginx.
    reader: Reader
    #: Set by whoever changed what Nginx serves; the controller looks at once.
    changed: asyncio.Event


def run(settings: Settings) -> None:
    """Run the controller until it is told to stop. Blocking."""
    logs.configure(settings.log_level, settings.log_format)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    reader = Reader.named(settings.proxy_user)
    prepare(settings.proxy_dir, reader)
    room = Room(
        settings,
        Database(
            database_url(settings), size=_DATABASE_POOL, application="mcp-host-proxy"
        ),
        reader,
        asyncio.Event(),
    )
    loop = asyncio.get_running_loop()
    going = asyncio.create_task(keep_going(works(room)), name="works")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, going.cancel)
    log.info("proxy.started")
    with contextlib.suppress(asyncio.CancelledError):
        await going
    await asyncio.to_thread(room.database.close)
    log.info("proxy.stopped")


def works(room: Room) -> dict[str, Work]:
    """Return all that works here, by name; each kind adds its line."""
    controller = Controller(
        room.settings, room.database, reader=room.reader, changed=room.changed
    )
    heartbeat = Heartbeat(heartbeat_file(room.settings.run_dir, "proxy"))
    keeper = Keeper(
        room.database,
        room.settings,
        reader=room.reader,
        wanted=certified.wishes,
        tell=certified.tell,
        changed=room.changed.set,
    )
    domains = make_checker(room.database, room.settings, keeper.prepare)
    return {
        "heartbeat": heartbeat,
        "controller": controller,
        "certificates": keeper,
        "domains": domains,
    }
