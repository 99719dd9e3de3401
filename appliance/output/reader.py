"""Reads one container: from the engine's lines to lines that may be kept."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from appliance.output.flood import Flood
from appliance.output.model import Printed, Stream
from appliance.output.progress import Repeats
from appliance.output.records import fingerprint
from appliance.runtimes.printing import Output, Printer

#: Digits of a container's id that tell it from all others.
CONTAINER_DIGITS = 12
#: Seconds after which it is said that lines were dropped, if no other line comes.
SETTLE_S = 1.2
#: Bytes a second that are read of one container at most; beyond, the engine's own bounded files overflow, not we.
READ_BYTES = 16 * 1024 * 1024

Hide = Callable[[str], str]
Add = Callable[[int, Sequence[Printed]], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """What one container may add in a second."""

    lines: int
    size_bytes: int = 1024 * 1024


class Reader:
    """Turns what one container printed into lines that are kept.

    Args:
        printer: Whose.
        add: Takes the lines.
        hide: Takes secrets out of a text.
        limits: Beyond which lines are counted and dropped.
        repeats: What was stored before.
    """

    def __init__(
        self,
        printer: Printer,
        add: Add,
        hide: Hide,
        *,
        limits: Limits,
        repeats: Repeats,
    ) -> None:
        """Keep the parts."""
        self._printer = printer
        self._add = add
        self._hide = hide
        self._flood = Flood(limits.lines, limits.size_bytes)
        self._repeats = repeats
        self._settling: asyncio.TimerHandle | None = None
        self._settled: asyncio.Task[None] | None = None
        self._second = 0
        self._read = 0

    async def take(self, found: Sequence[Output]) -> None:
        """Keep what may be kept of these lines."""
        lines: list[Printed] = []
        for output in found:
            if self._flood.is_over(output.at_ns):
                lines.append(self._note())
            if not self._flood.admits(output.at_ns, len(output.text)):
                continue
            line = self._line(output)
            if not self._repeats.has(line.at_ns, fingerprint(line.text)):
                lines.append(line)
        if lines:
            await self._add(self._printer.server_id, lines)
        if self._flood.dropped_at_ns and self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(SETTLE_S, self._settle)
        await self._pace(sum(len(output.text) for output in found))

    async def close(self) -> None:
        """Say what was dropped last."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if self._settled is not None:
            await self._settled
        if self._flood.dropped_at_ns:
            await self._add(self._printer.server_id, [self._note()])

    def _line(self, output: Output) -> Printed:
        text = output.text.decode("utf-8", "replace").replace("\0", "�")
        return self._printed(
            output.at_ns,
            Stream.STDERR if output.is_stderr else Stream.STDOUT,
            self._hide(text),
        )

    def _note(self) -> Printed:
        # Behind the last dropped line, so that a hub that starts again does not read it once more.
        at_ns = self._flood.dropped_at_ns + 1
        return self._printed(at_ns, Stream.NOTE, self._flood.take())

    def _printed(self, at_ns: int, stream: Stream, text: str) -> Printed:
        return Printed(
            at_ns,
            stream,
            text,
            self._printer.deployment_id,
            self._printer.container_id[:CONTAINER_DIGITS],
            self._printer.session,
        )

    def _settle(self) -> None:
        self._settling = None
        if self._flood.dropped_at_ns:
            note = self._note()
            self._settled = asyncio.create_task(
                _completed(self._add(self._printer.server_id, [note]))
            )

    async def _pace(self, size: int) -> None:
        loop = asyncio.get_running_loop()
        second = int(loop.time())
        if second != self._second:
            self._second, self._read = second, 0
        self._read += size
        if self._read > READ_BYTES:
            await asyncio.sleep(max(0.0, second + 1 - loop.time()))


async def _completed(work: Awaitable[None]) -> None:
    await work
