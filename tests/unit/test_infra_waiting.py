"""A wait ends with its event or its time, and no cancellation is lost in it."""

import asyncio

import pytest

from appliance.infra.waiting import set_within


async def test_it_tells_whether_the_event_came() -> None:
    event = asyncio.Event()

    assert not await set_within(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await set_within(event, 60)


async def test_its_time_ends_also_in_what_is_being_cancelled() -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(await set_within(asyncio.Event(), 0.01))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [False]


@pytest.mark.parametrize("rounds", range(4))
async def test_a_cancellation_that_comes_with_the_event_is_not_lost(
    rounds: int,
) -> None:
    event = asyncio.Event()
    task = asyncio.create_task(set_within(event, 60))
    await asyncio.sleep(0.01)

    event.set()
    for _ in range(rounds):
        await asyncio.sleep(0)
    was_done = task.done()
    task.cancel()

    if was_done:
        assert await task
    else:
        with pytest.raises(asyncio.CancelledError):
            await task
