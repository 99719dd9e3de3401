"""Work that is begun once for all who wait for it, and goes on when one of them stops waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from appliance.gateway.errors import ConnectionLostError

T = TypeVar("T")


def begin(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start ``work``; a failure that nobody waited for is met again by whoever asks next."""
    task = asyncio.create_task(work)
    task.add_done_callback(has_failed)
    return task


def has_failed(task: asyncio.Task[Any]) -> bool:
    """Whether ``task``, which is over, ended without a result."""
    return task.cancelled() or task.exception() is not None


async def outcome(task: asyncio.Task[T]) -> T:
    """Wait for what ``begin`` returned.

    Raises:
        ConnectionLostError: It was given up. That is not a reason for whoever waits to give up too.
    """
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        waiting = asyncio.current_task()
        if not task.cancelled() or waiting is None or waiting.cancelling():
            raise
        raise ConnectionLostError("The server was let go of.") from None
