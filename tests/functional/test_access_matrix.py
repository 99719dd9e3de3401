"""Every route of the hub, asked by those between whom the lines run; the proof ``access-matrix`` asks as everybody."""

from appliance.infra.database import Database
from tests.harness.access_matrix import measure
from tests.harness.access_world import world

#: Nobody, somebody of another organisation, somebody who may do half of it, and an administrator.
ROWS = frozenset({"anonymous", "neighbour", "deployer", "admin"})


async def test_every_route_answers_everybody_as_the_rules_say(
    database: Database,
) -> None:
    async with world(database) as made:
        outcome = await measure(made, ROWS)

    assert outcome.uncovered == [], "say in access_rules.py who may use these"
    assert outcome.unasked == [], "give these in access_rules.BODIES what they take"
    assert outcome.wrong == []
    assert outcome.asked > outcome.routes
