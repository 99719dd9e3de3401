"""Every route of the hub, asked by some of those who could; the proof ``access-matrix`` asks as everybody."""

from collections.abc import Sequence
from zlib import crc32

from appliance.infra.database import Database
from tests.harness.access_matrix import measure
from tests.harness.access_rules import Route
from tests.harness.access_world import Somebody, world

#: Beside whoever may do everything, with whom a route's request is known to be one that it takes.
DRAWN = 1


def drawn(route: Route, people: Sequence[Somebody]) -> list[Somebody]:
    """Return an administrator and others, the same ones for a route each time, so that every row has its share of routes."""
    others = [who for who in people if who.name != "admin"]
    first = crc32(route.name.encode())
    chosen = [others[(first + step) % len(others)] for step in range(DRAWN)]
    return [*chosen, *(who for who in people if who.name == "admin")]


async def test_every_route_answers_everybody_as_the_rules_say(
    database: Database,
) -> None:
    async with world(database) as made:
        outcome = await measure(made, drawn)

    assert outcome.uncovered == [], "say in access_rules.py who may use these"
    assert outcome.unasked == [], "give these in access_rules.BODIES what they take"
    assert outcome.wrong == []
    assert outcome.asked > outcome.routes
