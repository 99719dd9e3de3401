"""Only one process at a time is attached to a container."""

import asyncio
from pathlib import Path

import pytest

from appliance.gateway.bridge.claims import Claims


@pytest.fixture
def bridges(tmp_path: Path) -> list[Claims]:
    """Three processes of one gateway."""
    return [Claims(tmp_path) for _ in range(3)]


async def still_waits(taking: "asyncio.Task[None]") -> bool:
    done, _ = await asyncio.wait([taking], timeout=0.1)
    return not done


async def test_a_claim_is_held_until_everybody_in_the_process_has_let_go(
    bridges: list[Claims],
) -> None:
    ours, theirs, _ = bridges
    await ours.take("c1")
    await ours.take("c1")
    taking = asyncio.create_task(theirs.take("c1"))

    ours.release("c1")
    assert await still_waits(taking)
    ours.release("c1")

    await taking


async def test_a_lock_on_a_file_that_was_removed_is_no_claim(
    bridges: list[Claims],
) -> None:
    gone, ours, theirs = bridges
    await gone.take("c1")
    waiting = asyncio.create_task(ours.take("c1"))
    assert await still_waits(waiting)
    await asyncio.to_thread(gone.forget, "c1")
    gone.release("c1")
    await waiting

    taking = asyncio.create_task(theirs.take("c1"))

    assert await still_waits(taking)
    ours.release("c1")
    await taking


async def test_whoever_gives_up_in_the_middle_leaves_nothing_locked(
    bridges: list[Claims],
) -> None:
    ours, theirs, _ = bridges
    for pauses in range(6):
        taking = asyncio.create_task(ours.take("c1"))
        for _ in range(pauses):
            await asyncio.sleep(0)
        taking.cancel()
        [outcome] = await asyncio.gather(taking, return_exceptions=True)
        if outcome is None:
            ours.release("c1")

        await asyncio.wait_for(theirs.take("c1"), 5)

        theirs.release("c1")
