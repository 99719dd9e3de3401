"""Loops that go on, whatever breaks them."""

import asyncio
import contextlib

from appliance.infra.unbroken import unbroken


async def test_a_loop_that_breaks_or_ends_begins_again() -> None:
    runs = 0
    is_third = asyncio.Event()

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("No space left on device")
        if runs == 3:
            is_third.set()
            await asyncio.Event().wait()

    task = unbroken("test", loop, again_after_s=0)
    async with asyncio.timeout(5):
        await is_third.wait()

    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert runs == 3
    assert task.cancelled()
