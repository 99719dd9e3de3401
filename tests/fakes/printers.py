"""Containers that print what a test says."""

import asyncio
import time
from collections.abc import AsyncGenerator

from appliance.runtimes.printing import Output, Printer

#: A whole second not long ago, so that nothing is too old to be kept.
START_NS = (time.time_ns() // 10**9 - 60) * 10**9


def container(
    server_id: int,
    digit: str = "a",
    *,
    deployment_id: int = 1,
    session: str = "",
    speaks_on_stdout: bool = False,
) -> Printer:
    """Return a container of a server."""
    return Printer(
        digit * 64,
        server_id,
        deployment_id,
        session,
        speaks_on_stdout=speaks_on_stdout,
    )


class FakePrinters:
    """An engine's log, in memory: it keeps everything, and gives it from a moment on, that moment among it."""

    def __init__(self) -> None:
        self.printed: dict[str, list[Output]] = {}
        self.containers: dict[str, Printer] = {}
        self.reads = 0
        self._changed = asyncio.Condition()
        self._started: asyncio.Queue[Printer | None] = asyncio.Queue()
        self._ended: set[str] = set()
        self._at_ns = START_NS

    async def start(self, printer: Printer) -> None:
        """Let a container start, or start again."""
        self.containers[printer.container_id] = printer
        self.printed.setdefault(printer.container_id, [])
        self._ended.discard(printer.container_id)
        await self._started.put(printer)

    async def say(
        self,
        printer: Printer,
        *texts: str,
        is_stderr: bool = True,
        step_ns: int = 10**6,
    ) -> None:
        """Let a container print lines."""
        for text in texts:
            self._at_ns += step_ns
            output = Output(self._at_ns, is_stderr, text.encode())
            self.printed[printer.container_id].append(output)
        async with self._changed:
            self._changed.notify_all()

    async def end(self, printer: Printer) -> None:
        """Let a container end."""
        self._ended.add(printer.container_id)
        async with self._changed:
            self._changed.notify_all()

    async def all(self) -> list[Printer]:
        return list(self.containers.values())

    async def starts(self) -> AsyncGenerator[Printer | None]:
        yield None
        while True:
            yield await self._started.get()

    async def read(
        self, printer: Printer, *, since_ns: int = 0
    ) -> AsyncGenerator[list[Output]]:
        self.reads += 1
        lines = self.printed[printer.container_id]
        seen = 0
        while True:
            found = [
                item
                for item in lines[seen:]
                if item.at_ns >= since_ns
                and (item.is_stderr or not printer.speaks_on_stdout)
            ]
            seen = len(lines)
            if found:
                yield found
            if printer.container_id in self._ended:
                return
            async with self._changed:
                if seen == len(lines) and printer.container_id not in self._ended:
                    await self._changed.wait()
