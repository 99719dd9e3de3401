"""The one door to Postgres."""

import peewee
import pytest

from appliance.infra.database import Database


async def test_run_returns_what_the_function_returns(database: Database) -> None:
    answer = await database.run(
        lambda: database.peewee.execute_sql("SELECT 41 + 1").fetchone()
    )

    assert answer == (42,)


async def test_a_query_on_the_event_loop_fails_at_once(database: Database) -> None:
    with pytest.raises(peewee.InterfaceError):
        database.peewee.execute_sql("SELECT 1")
