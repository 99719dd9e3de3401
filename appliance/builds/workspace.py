"""A directory that exists while a build does, and the programs that work in it."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.infra import process


class Workspace:
    """An empty directory, used as an asynchronous context manager.

    Entering it first ends what an earlier attempt left: programs that carry the mark,
    and files.
    """

    def __init__(self, path: Path, *, mark: str) -> None:
        """Keep the place; nothing is made yet."""
        self.path = path
        self._mark = mark

    async def __aenter__(self) -> Self:
        """Make it."""
        await self._clear()
        await asyncio.to_thread(self.path.mkdir, mode=0o700, parents=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove it with all that is in it."""
        await asyncio.shield(self._clear())

    async def _clear(self) -> None:
        await asyncio.to_thread(process.kill_marked, self._mark)
        # rm alone knows how not to step over a mount that a killed mmdebstrap may have
        # left.
        await process.run(["rm", "-rf", "--one-file-system", "--", str(self.path)])
