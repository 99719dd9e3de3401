"""The look at all servers, on a real Postgres: who rests has a turn, and never all at once."""

from appliance.infra.database import Database, proxy
from appliance.jobs.queue import JobQueue
from appliance.servers.glance import LOOKS_FOR_ALL, Glance
from appliance.servers.service import RECONCILE
from tests.fakes.executor import IdleExecutor
from tests.harness.hosted import ada, add_server

SERVERS = 20


async def nobody() -> None:
    """Stand for the look at everybody, which is another one's."""


async def asked_for(database: Database) -> list[int]:
    """Return the servers of which a reconciliation was asked for since the last time, and forget them."""
    found = await JobQueue(database).list(kind=RECONCILE, limit=200)
    await database.run(proxy.execute_sql, "DELETE FROM jobs")
    return sorted(job.payload["server_id"] for job in found)


async def test_servers_that_rest_have_their_turn_a_few_at_each_look(
    database: Database,
) -> None:
    owner = await ada(database)

    def host() -> list[int]:
        made = [add_server(owner.id, f"s{number}").id for number in range(SERVERS)]
        proxy.execute_sql(
            "UPDATE servers SET desired_state = 'stopped', status = 'stopped'"
        )
        proxy.execute_sql("UPDATE deployments SET state = 'superseded'")
        proxy.execute_sql("DELETE FROM jobs")
        return made

    made = await database.run(host)
    glance = Glance(database, IdleExecutor(), nobody)
    await glance()
    turns = []
    for _ in range(LOOKS_FOR_ALL):
        await glance()
        turns.append(await asked_for(database))

    assert [len(turn) for turn in turns] == [SERVERS // LOOKS_FOR_ALL] * LOOKS_FOR_ALL
    assert sorted(server for turn in turns for server in turn) == sorted(made)
