"""One reader for every container that prints, and none more: a watcher costs no reader."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import aiodocker
import structlog

from appliance.infra.errors import EngineUnavailableError
from appliance.observability.redaction import redact_text
from appliance.output.progress import Repeats
from appliance.output.reader import CONTAINER_DIGITS, Hide, Limits, Reader
from appliance.output.recorder import Recorder
from appliance.output.shelf import Shelf
from appliance.runtimes.printing import Printer, Printers

log = structlog.get_logger(__name__)

#: Seconds between looks for containers that run and are not read: their stream broke.
LOOK_EVERY_S = 30.0

#: Gives what takes a server's secrets out of texts, for as long as the server is there.
Redactor = Callable[[int], Awaitable[Hide]]


class Collector:
    """Reads all containers, from the last line that was stored of each.

    Args:
        printers: The engine's side.
        shelf: Tells how far each was read.
        recorder: Takes the lines.
        redactor: Knows the secrets of a server.
        limits: Of one container.
    """

    def __init__(
        self,
        printers: Printers,
        shelf: Shelf,
        recorder: Recorder,
        *,
        redactor: Redactor,
        limits: Limits,
    ) -> None:
        """Keep the parts; ``run`` reads."""
        self._printers = printers
        self._shelf = shelf
        self._recorder = recorder
        self._redactor = redactor
        self._limits = limits
        self._readers: dict[str, asyncio.Task[None]] = {}
        #: Containers that started again while their reader was about to end.
        self._again: dict[str, Printer] = {}
        self._printing: dict[str, Printer] = {}

    def printers(self) -> list[Printer]:
        """Return the containers that are read: those that run, and some that ended just now."""
        return list(self._printing.values())

    async def run(self) -> None:
        """Read for ever."""
        looking = asyncio.create_task(self._look_forever(), name="output-look")
        try:
            async for printer in self._printers.starts():
                if printer is None:
                    await self._look(only_running=False)
                else:
                    self._begin(printer)
        finally:
            looking.cancel()
            for task in list(self._readers.values()):
                task.cancel()
            await asyncio.gather(
                looking, *self._readers.values(), return_exceptions=True
            )

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look(only_running=True)

    async def _look(self, *, only_running: bool) -> None:
        try:
            found = await self._printers.all()
        except (EngineUnavailableError, aiodocker.DockerError) as error:
            log.warning("output_look_failed", reason=str(error))
            return
        for printer in found:
            is_read = printer.container_id in self._readers
            if not is_read and (printer.is_running or not only_running):
                self._begin(printer)

    def _begin(self, printer: Printer) -> None:
        if printer.container_id in self._readers:
            self._again[printer.container_id] = printer
            return
        task = asyncio.create_task(
            self._read(printer), name=f"output-{printer.container_id[:12]}"
        )
        self._readers[printer.container_id] = task
        self._printing[printer.container_id] = printer
        task.add_done_callback(lambda _done: self._ended(printer.container_id))

    def _ended(self, container_id: str) -> None:
        task = self._readers.pop(container_id)
        del self._printing[container_id]
        if task.cancelled():
            return
        if error := task.exception():
            log.error("output_reader_failed", container_id=container_id, exc_info=error)
        if printer := self._again.pop(container_id, None):
            self._begin(printer)

    async def _read(self, printer: Printer) -> None:
        server_id = printer.server_id
        known = await self._redactor(server_id)
        mark = await self._recorder.exclusively(
            self._shelf.mark, server_id, printer.container_id[:CONTAINER_DIGITS]
        )
        reader = Reader(
            printer,
            self._recorder.add,
            lambda text: redact_text(known(text)),
            limits=self._limits,
            repeats=Repeats(mark),
        )
        try:
            # An engine that goes away comes back, and then everything is looked at.
            with contextlib.suppress(EngineUnavailableError):
                found = self._printers.read(printer, since_ns=mark.at_ns)
                async with aclosing(found) as lists:
                    async for outputs in lists:
                        await reader.take(outputs)
        finally:
            await reader.close()
