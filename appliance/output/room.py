"""Everything that keeps servers' output, put together; ``bootstrap`` makes one."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from contextlib import aclosing
from pathlib import Path

from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.unbroken import unbroken
from appliance.observability.events import EventLog
from appliance.output.collector import Collector, Redactor
from appliance.output.reader import Limits
from appliance.output.recorder import Recorder
from appliance.output.service import OutputService, Visible
from appliance.output.shelf import Shelf
from appliance.output.watchers import Watchers
from appliance.runtimes.printing import Printers
from appliance.settings import Settings

#: Seconds between looks at what is too old.
TIDY_EVERY_S = 3600.0
#: Below DATA_DIR.
DIRECTORY = "output"
_GONE = "server.deleted"

#: Returns the numbers of all servers; runs inside ``database.run``.
AllServers = Callable[[], Collection[int]]


async def hides_nothing(_server_id: int) -> Callable[[str], str]:
    """Know no secrets of a server."""
    return lambda text: text


class Output:
    """The parts, and what runs with the hub.

    Args:
        printers: The engine's side.
        visible: Who may see which server.
        servers: Tells which servers there are; the logs of others are removed.
        redactor: Knows the secrets of a server.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        printers: Printers,
        *,
        visible: Visible,
        servers: AllServers,
        redactor: Redactor = hides_nothing,
    ) -> None:
        """Build the parts in visible order."""
        self._database = database
        self._servers = servers
        shelf = Shelf(
            place(settings.data_dir), max_bytes=settings.server_log_max_mib * 1024**2
        )
        watchers = Watchers()
        self.recorder = Recorder(
            shelf, watchers, keep_days=settings.server_log_retention_days
        )
        self.collector = Collector(
            printers,
            shelf,
            self.recorder,
            redactor=redactor,
            limits=Limits(settings.server_log_lines_per_second),
        )
        self.service = OutputService(
            database, shelf, self.recorder, watchers, visible=visible
        )

    def start(self, events: EventLog) -> list["asyncio.Task[None]"]:
        """Begin to read and to keep; return what is to be cancelled at the end, in this order."""
        return [
            unbroken("output-forget", lambda: self._forget(events)),
            unbroken("output-tidy", self._tidy_forever),
            unbroken("output-collector", self.collector.run),
            unbroken("output-recorder", self.recorder.run),
        ]

    async def close(self) -> None:
        """Let every watcher end."""
        await self.recorder.close()

    async def _forget(self, events: EventLog) -> None:
        """Remove the logs of servers that are deleted, as soon as they are."""
        while True:
            async with aclosing(events.subscribe(kinds={_GONE})) as found:
                async for event in found:
                    if event.kind == _GONE and event.server_id is not None:
                        await self.recorder.remove(event.server_id)

    async def _tidy_forever(self) -> None:
        while True:
            with contextlib.suppress(DatabaseUnavailableError):
                await self.recorder.tidy(await self._database.run(self._servers))
            await asyncio.sleep(TIDY_EVERY_S)


def place(data_dir: Path) -> Path:
    """Return where the logs of servers are."""
    return data_dir / DIRECTORY
