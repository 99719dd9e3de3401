"""When the gateway reads its table once more before it refuses a call, and how often at most."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from appliance.core.ids import key_hash, new_key
from appliance.gateway.edge.keys import is_ours
from appliance.gateway.edge.learning import (
    REREAD_PAUSE_S,
    WAITING,
    Learner,
    Starting,
    shown_key,
    signing_key,
)
from appliance.gateway.routes import Route, RoutingTable

KEY = shown_key(key_hash("mcph_new"))


class Table:
    """Counts how often it is read."""

    def __init__(self, *stored: str) -> None:
        self.read_at: list[float] = []
        self.looked = 0
        self.stored = {key_hash(key): 1 for key in stored}
        self.current = RoutingTable({}, {}, {}, 0.0)

    async def renewed(self, *, within_s: float) -> None:
        assert within_s <= 1
        self.read_at.append(time.monotonic())
        self.current = RoutingTable({}, dict(self.stored), {}, 0.0)

    def look_again(self) -> None:
        self.looked += 1

    async def find(
        self, look: Callable[[RoutingTable], Any], *, within_s: float
    ) -> Any:
        assert within_s <= 1
        return look(self.current)


async def test_a_key_that_was_just_made_is_found_by_a_reading() -> None:
    table = Table("mcph_new")
    learner = Learner(table)
    assert learner.may_find(KEY)

    await learner.look(KEY)

    assert table.current.knows(key_hash("mcph_new"))
    assert len(table.read_at) == 1


async def test_a_key_that_does_not_exist_is_looked_for_once() -> None:
    table = Table()
    learner = Learner(table)

    await learner.look(KEY)

    assert not learner.may_find(KEY)
    assert learner.may_find(shown_key(key_hash("another")))


async def test_strangers_do_not_have_the_table_read_for_each_key() -> None:
    table = Table()
    learner = Learner(table)

    for number in range(50):
        await learner.look(shown_key(key_hash(f"mcph_{number}")))

    assert len(table.read_at) == 1


async def test_a_signing_key_is_waited_for_because_it_comes_from_elsewhere() -> None:
    table = Table()

    await Learner(table).look(signing_key("kid-1"))

    assert (table.looked, table.read_at) == (1, [])


@pytest.mark.parametrize("prefix", ["mcph_", "mcps_", "mcpb_"])
def test_keys_of_ours_are_told_by_their_form(prefix: str) -> None:
    key = new_key(prefix)

    assert is_ours(key)
    assert not is_ours(key[:-1])
    assert not is_ours(f"{key}\n")
    assert not is_ours("mcpo_" + key[5:])


def route(status: str) -> Route:
    return Route(1, "web", 1, status, "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("queued", True),
        ("building", True),
        ("starting", True),
        # Nothing of these changes by itself, so a reading would tell the same again.
        ("stopped", False),
        ("error", False),
        ("pending-evaluation", False),
        ("pending-governance", False),
    ],
)
def test_only_a_server_that_is_about_to_run_is_waited_for(
    status: str, *, expected: bool
) -> None:
    assert Starting(Table()).may_run(route(status)) is expected


async def test_a_call_that_comes_soon_after_a_reading_waits_for_the_next() -> None:
    table = Table()
    starting = Starting(table)

    await starting.look()
    await starting.look()

    first, second = table.read_at
    assert second - first >= REREAD_PAUSE_S


async def test_of_many_calls_only_so_many_wait() -> None:
    starting = Starting(Table())
    await starting.look()
    waiting = [asyncio.create_task(starting.look()) for _ in range(WAITING)]
    await asyncio.sleep(0)

    assert not starting.may_run(route("starting"))
    await asyncio.gather(*waiting)
    assert starting.may_run(route("starting"))
