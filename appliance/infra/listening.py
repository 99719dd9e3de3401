"""Many parts of a process hear different channels over one connection: each connection costs Postgres megabytes."""

import asyncio
from collections.abc import AsyncGenerator

import structlog

from appliance.infra.connections import RECONNECT_AFTER_S, listen

log = structlog.get_logger("infra.listening")

#: Channel and payload; two empty texts: whoever remembers something must look again.
Heard = tuple[str, str]


class Listening:
    """Hears every channel that anybody in this process listens to.

    Args:
        arguments: libpq keywords.
    """

    def __init__(self, arguments: dict[str, str]) -> None:
        """Hear nothing yet."""
        self._arguments = arguments
        self._ears: dict[asyncio.Queue[Heard], frozenset[str]] = {}
        self._hearing: asyncio.Task[None] | None = None

    async def listen(self, *channels: str) -> AsyncGenerator[Heard, None]:
        """Yield what is heard on ``channels``, for ever; see ``Database.listen``."""
        ear: asyncio.Queue[Heard] = asyncio.Queue()
        self._ears[ear] = frozenset(channels)
        self._begin()
        try:
            while True:
                yield await ear.get()
        finally:
            del self._ears[ear]
            if not self._ears:
                self._end()

    def _begin(self) -> None:
        """Connect anew for all channels that are wanted now; everybody is told to look again, so nothing is lost."""
        self._end()
        self._hearing = asyncio.create_task(self._hear_for_ever(), name="listening")

    def _end(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None

    async def _hear_for_ever(self) -> None:
        while True:
            try:
                await self._hear()
            except Exception:
                log.exception("listening.broke")
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _hear(self) -> None:
        channels = sorted(frozenset[str]().union(*self._ears.values()))
        async for heard in listen(self._arguments, *channels):
            for ear, wanted in self._ears.items():
                if not heard[0] or heard[0] in wanted:
                    ear.put_nowait(heard)
