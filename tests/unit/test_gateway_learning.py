"""When the gateway reads its table once more before it refuses a call, and how often at most."""

import asyncio
import time

import pytest

from appliance.gateway.edge.learning import REREAD_PAUSE_S, WAITING, Starting
from appliance.gateway.routes import Route


class Table:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.read_at: list[float] = []

    async def renewed(self, *, within_s: float) -> None:
        assert within_s <= 1
        self.read_at.append(time.monotonic())


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
