"""Platforms: their names, their order, and whose turn it is to build."""

import asyncio

import pytest

from appliance.builds.fairness import next_turn
from appliance.builds.platforms import at_once, in_order, prefixed, tag_of
from appliance.builds.slots import Slots
from appliance.core.labels import is_own_tag
from appliance.core.platforms import platform_of, platforms_of

AMD, ARM = "linux/amd64", "linux/arm64"


def test_a_list_is_read_whoever_wrote_it() -> None:
    assert platforms_of(" linux/arm64, LINUX/amd64,linux/arm64/v8,,x86_64 ") == (
        ARM,
        AMD,
    )
    assert platform_of("armv7l") == "linux/arm/v7"


@pytest.mark.parametrize("text", ["", " , ", "windows/amd64", "linux/amd65", "linux/"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="linux/amd64"):
        platforms_of(text)


def test_what_runs_here_is_built_first_asked_for_or_not() -> None:
    assert in_order((ARM, AMD), AMD) == (AMD, ARM)
    assert in_order((ARM,), AMD) == (AMD, ARM)
    assert in_order((AMD,), AMD) == (AMD,)


@pytest.mark.parametrize(
    ("wanted", "cpus", "targets", "found"),
    [(None, 8, 2, 2), (None, 1, 2, 1), (4, 1, 2, 2), (1, 8, 2, 1)],
)
def test_no_more_platforms_are_built_at_once_than_there_are_targets(
    wanted: int | None, cpus: int, targets: int, found: int
) -> None:
    assert at_once(wanted, cpus=cpus, targets=targets) == found


def test_every_platform_has_a_name_of_its_own_that_is_ours() -> None:
    about = {"native": AMD, "owner": "0a1b", "server_name": "time", "deployment_id": 7}
    tags = [tag_of(platform, **about) for platform in (AMD, ARM)]  # type: ignore[arg-type]

    assert tags == ["mcp-host/time:0a1b-7", "mcp-host/time:0a1b-7-linux-arm64"]
    assert all(is_own_tag(tag, "0a1b") for tag in tags)


def test_lines_name_their_platform_where_there_are_several() -> None:
    assert prefixed(ARM, (AMD, ARM), "hello") == "linux/arm64 | hello"
    assert prefixed(AMD, (AMD,), "hello") == "hello"


def test_the_one_with_fewest_builds_running_is_next() -> None:
    assert next_turn([1, 1, 2], running={1: 1}, served={1: 9, 2: 8}) == 2


def test_among_equals_the_one_served_longest_ago_is_next() -> None:
    assert next_turn([1, 2, 3], running={}, served={1: 5, 2: 4, 3: 6}) == 1
    assert next_turn([1, 2], running={}, served={1: 5}) == 1
    assert next_turn([2, 2], running={}, served={}) == 0


async def test_who_asks_for_much_does_not_hold_up_who_asks_for_little() -> None:
    slots, order, release = Slots(1), [], asyncio.Event()

    async def build(owner: int, name: str) -> None:
        async with slots.slot(owner):
            order.append(name)
            await release.wait()

    many = [asyncio.create_task(build(1, f"a{number}")) for number in range(4)]
    await asyncio.sleep(0)
    few = [asyncio.create_task(build(owner, f"b{owner}")) for owner in (2, 3)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*many, *few)

    assert order == ["a0", "b2", "b3", "a1", "a2", "a3"]


async def test_a_build_that_stops_waiting_takes_no_slot() -> None:
    slots = Slots(1)
    async with slots.slot(1):
        waiting = asyncio.create_task(_hold(slots, 2))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert slots.is_full
    assert not slots.is_full


async def test_a_slot_given_in_the_moment_of_the_cancel_comes_back() -> None:
    slots = Slots(1)
    async with slots.slot(1):
        waiting = asyncio.create_task(_hold(slots, 2))
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert not slots.is_full


async def _hold(slots: Slots, owner: int) -> None:
    async with slots.slot(owner):
        await asyncio.Event().wait()
