"""The one door to Postgres."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import peewee
import pytest
from structlog.contextvars import bound_contextvars

from appliance.infra import database as module
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.observability.logs import current
from tests.cluster import ThrowAwayCluster, throw_away_cluster

PATIENCE_S = 15


def query(database: Database, sql: str) -> object:
    (value,) = database.peewee.execute_sql(sql).fetchone()
    return value


async def test_run_returns_what_the_function_returns(database: Database) -> None:
    assert await database.run(query, database, "SELECT 41 + 1") == 42


async def test_a_query_on_the_event_loop_fails_at_once(database: Database) -> None:
    with pytest.raises(peewee.InterfaceError):
        database.peewee.execute_sql("SELECT 1")


async def test_what_a_function_wrote_before_it_failed_is_gone(
    database: Database,
) -> None:
    def fail() -> None:
        database.peewee.execute_sql("CREATE TABLE t (n int)")
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(fail)

    assert await database.run(query, database, "SELECT to_regclass('t')") is None


async def test_the_request_s_id_reaches_the_thread(database: Database) -> None:
    with bound_contextvars(request_id="r1"):
        assert await database.run(current, "request_id") == "r1"


async def test_more_calls_than_connections_wait_for_their_turn(
    database: Database,
) -> None:
    calls = [
        database.run(query, database, "SELECT pg_sleep(0.05)::text") for _ in range(20)
    ]

    assert await asyncio.gather(*calls) == [""] * 20


async def test_a_connection_that_comes_back_soon_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 5)

    used = await asyncio.gather(
        *(database.run(query, database, "SELECT pg_backend_pid()") for _ in range(4))
    )

    assert len(set(used)) == 1


async def test_nobody_waits_for_a_transaction_that_takes_long(
    database: Database,
) -> None:
    long = asyncio.create_task(
        database.run(database.peewee.execute_sql, "SELECT pg_sleep(2)")
    )
    await asyncio.sleep(0.1)

    await database.run(query, database, "SELECT 1")

    assert not long.done()
    await long


async def test_transactions_that_wait_for_each_other_both_succeed(
    database: Database,
) -> None:
    execute: Callable[..., Any] = database.peewee.execute_sql
    await database.run(
        execute, "CREATE TABLE t AS SELECT n, 0 AS seen FROM generate_series(1, 2) n"
    )
    both_hold_one = threading.Barrier(2)
    runs = []

    def take(first: int, second: int) -> None:
        runs.append(first)
        execute("UPDATE t SET seen = seen + 1 WHERE n = %s", (first,))
        if len(runs) <= 2:
            both_hold_one.wait(PATIENCE_S)
        execute("UPDATE t SET seen = seen + 1 WHERE n = %s", (second,))

    await asyncio.gather(database.run(take, 1, 2), database.run(take, 2, 1))

    assert len(runs) > 2
    assert await database.run(query, database, "SELECT sum(seen) FROM t") == 4


async def test_a_refusal_of_postgres_is_not_called_silence(database: Database) -> None:
    def exhaust() -> None:
        database.peewee.execute_sql("SET LOCAL statement_timeout = 10")
        database.peewee.execute_sql("SELECT pg_sleep(1)")

    with pytest.raises(
        DatabaseUnavailableError, match="could not do this: canceling statement"
    ):
        await database.run(exhaust)


@pytest.fixture
def own_cluster() -> Iterator[ThrowAwayCluster]:
    """A cluster that may be stopped without hurting other tests."""
    with throw_away_cluster() as cluster:
        yield cluster


@pytest.fixture
async def own_database(own_cluster: ThrowAwayCluster) -> AsyncIterator[Database]:
    opened = Database(own_cluster.url(), size=2)
    yield opened
    await asyncio.to_thread(opened.close)


async def test_a_postgres_that_is_away_is_told_and_forgotten_when_it_is_back(
    own_cluster: ThrowAwayCluster, own_database: Database
) -> None:
    await own_database.ping()
    await asyncio.to_thread(own_cluster.kill)
    # Backends notice the end of their postmaster a moment later.
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(DatabaseUnavailableError):
            while True:
                await own_database.ping()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError, match="Postgres does not answer"):
            await own_database.ping()

    await asyncio.to_thread(own_cluster.start)

    for _ in range(5):
        await own_database.ping()


async def test_a_listener_hears_again_after_postgres_was_away(
    own_cluster: ThrowAwayCluster, own_database: Database
) -> None:
    heard = own_database.listen("jobs", "events")

    async with asyncio.timeout(PATIENCE_S):
        assert await anext(heard) == ("", "")
        await own_database.run(
            query, own_database, "SELECT pg_notify('jobs', 'one')::text"
        )
        assert await anext(heard) == ("jobs", "one")
        await asyncio.to_thread(own_cluster.kill)
        again = asyncio.ensure_future(anext(heard))
        await asyncio.sleep(0.2)
        assert not again.done()
        await asyncio.to_thread(own_cluster.start)

        assert await again == ("", "")
        await own_database.run(
            query, own_database, "SELECT pg_notify('events', 'two')::text"
        )
        assert await anext(heard) == ("events", "two")
    await heard.aclose()


async def test_all_who_listen_share_one_connection_and_hear_their_own_channels(
    own_database: Database,
) -> None:
    jobs, events = own_database.listen("jobs"), own_database.listen("events")

    async with asyncio.timeout(PATIENCE_S):
        assert await anext(jobs) == ("", "")
        assert await anext(events) == ("", "")
        assert await anext(jobs) == ("", "")  # the connection is a new one
        for channel in ("events", "jobs"):
            sql = f"SELECT pg_notify('{channel}', 'one')::text"
            await own_database.run(query, own_database, sql)
        assert await anext(events) == ("events", "one")
        assert await anext(jobs) == ("jobs", "one")
        listening = (
            "SELECT count(*)::text FROM pg_stat_activity WHERE query ~ '^LISTEN'"
        )
        while await own_database.run(query, own_database, listening) != "1":
            await asyncio.sleep(0.02)
    await jobs.aclose()
    await events.aclose()
