"""Loops that must go on for as long as the process does."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

#: Seconds before a loop that broke begins again.
AGAIN_AFTER_S = 3.0


def unbroken(
    name: str,
    loop: Callable[[], Awaitable[object]],
    *,
    again_after_s: float = AGAIN_AFTER_S,
) -> "asyncio.Task[None]":
    """Run ``loop`` again whatever breaks or ends it: a process without it would look alive and do nothing.

    Args:
        name: Of the task, and in the log.
        loop: Called anew each time; it begins by looking at what it missed.
        again_after_s: Seconds before it begins again.

    Returns:
        The task; cancelling it cancels the loop.
    """

    async def repeat() -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("loop_broke", name=name)
            await asyncio.sleep(again_after_s)

    return asyncio.create_task(repeat(), name=name)
