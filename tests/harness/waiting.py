"""Waiting for what something else brings about, where nothing tells of it."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 30.0
_LOOK_S = 0.02


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once it is so.

    Raises:
        TimeoutError: It did not become so.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not await _answer(is_so()):
            await asyncio.sleep(_LOOK_S)


async def _answer(given: bool | Awaitable[bool]) -> bool:  # noqa: FBT001 - it is the answer, no switch
    return given if isinstance(given, bool) else await given
