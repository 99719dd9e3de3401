"""Live events: nothing is missed, nothing is told twice, whatever the order of commits."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.observability import event_store, subscription
from appliance.observability.events import (
    RESET,
    Event,
    EventLog,
    Subscription,
    publish_in_transaction,
)
from tests.cluster import ThrowAwayCluster

PATIENCE_S = 10


@pytest.fixture
async def events(database: Database) -> AsyncIterator[EventLog]:
    opened = EventLog(database)
    yield opened
    await opened.close()


async def take(reader: Subscription, count: int) -> list[Event]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(reader) for _ in range(count)]


async def listening(events: EventLog) -> Subscription:
    """Return a reader that is past its first ``events.reset``."""
    reader = events.subscribe()
    (first,) = await take(reader, 1)
    assert first.kind == RESET
    return reader


async def test_a_reader_gets_what_is_published_after_it_subscribed(
    events: EventLog,
) -> None:
    reader = await listening(events)

    await events.publish(kind="server.status", server_id=7, data={"status": "running"})

    (event,) = await take(reader, 1)
    assert (event.kind, event.server_id) == ("server.status", 7)
    assert event.data == {"status": "running"}


async def test_an_event_of_a_transaction_that_fails_is_never_told(
    database: Database, events: EventLog
) -> None:
    reader = await listening(events)

    def fail() -> None:
        publish_in_transaction("lost", None, {})
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(fail)
    await events.publish(kind="kept")

    assert [event.kind for event in await take(reader, 1)] == ["kept"]


async def test_a_reader_that_comes_back_gets_what_it_missed_in_order(
    events: EventLog,
) -> None:
    reader = await listening(events)
    for number in range(3):
        await events.publish(kind="n", data={"n": number})
    first, *_ = await take(reader, 3)
    await reader.aclose()
    await events.publish(kind="n", data={"n": 3})

    again = events.subscribe(first.id)
    await events.publish(kind="n", data={"n": 4})

    assert [event.data["n"] for event in await take(again, 4)] == [1, 2, 3, 4]


async def test_a_replay_longer_than_a_page_is_whole(
    database: Database, events: EventLog
) -> None:
    await events.publish(kind="start")
    start = await events.newest_id()
    count = subscription.PAGE * 2 + 1

    def publish_many() -> None:
        for number in range(count):
            publish_in_transaction("n", None, {"n": number})

    await database.run(publish_many)

    replayed = await take(events.subscribe(start), count)

    assert [event.data["n"] for event in replayed] == list(range(count))


async def test_kinds_and_server_choose_what_is_delivered(events: EventLog) -> None:
    await listening(events)
    reader = events.subscribe(kinds={"a"}, server_id=1)

    for kind, server_id in (("a", 2), ("b", 1), ("a", None), ("a", 1)):
        await events.publish(kind=kind, server_id=server_id)

    (event,) = await take(reader, 1)
    assert (event.kind, event.server_id) == ("a", 1)


async def test_a_transaction_that_commits_late_is_not_missed(
    database_url: str, events: EventLog
) -> None:
    """The low id is taken first and committed last: the reader has moved on by then."""
    reader = await listening(events)
    late_may_commit = threading.Event()
    late_has_inserted = threading.Event()

    def publish_late() -> None:
        with (
            closing(psycopg2.connect(database_url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("INSERT INTO events (kind) VALUES ('late')")
            late_has_inserted.set()
            late_may_commit.wait(PATIENCE_S)

    late = asyncio.create_task(asyncio.to_thread(publish_late))
    await asyncio.to_thread(late_has_inserted.wait, PATIENCE_S)
    await events.publish(kind="early")
    (early,) = await take(reader, 1)
    late_may_commit.set()
    await late

    (event,) = await take(reader, 1)
    assert (early.kind, event.kind) == ("early", "late")
    assert event.id > early.id
    assert [item.kind for item in await take(events.subscribe(early.id), 1)] == ["late"]


async def test_many_writers_at_once_are_read_once_each_and_in_order_of_ids(
    events: EventLog,
) -> None:
    reader = await listening(events)

    async def write(writer: int) -> None:
        for number in range(20):
            await events.publish(kind="n", data={"writer": writer, "n": number})

    await asyncio.gather(*(write(writer) for writer in range(4)))

    got = await take(reader, 80)
    ids = [event.id for event in got]
    assert ids == sorted(set(ids))
    for writer in range(4):
        mine = [event.data["n"] for event in got if event.data["writer"] == writer]
        assert mine == list(range(20))


async def test_a_slow_reader_is_cut_off_and_loses_nothing_by_coming_back(
    events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MAX_WAITING", 3)
    slow = await listening(events)
    quick = await listening_again(events)
    for number in range(6):
        await events.publish(kind="n", data={"n": number})
        await take(quick, 1)

    got = [event async for event in slow]
    rest = await take(events.subscribe(got[-1].id), 3)

    assert [event.data["n"] for event in got] == [0, 1, 2]
    assert [event.data["n"] for event in rest] == [3, 4, 5]


async def listening_again(events: EventLog) -> Subscription:
    """Return a second reader: the log listens already, so there is nothing to reset."""
    return events.subscribe()


async def test_a_reader_whose_last_event_is_gone_is_told_to_look_again(
    database: Database, events: EventLog
) -> None:
    await events.publish(kind="old")
    old = await events.newest_id()
    await events.publish(kind="new")
    await database.run(event_store.prune, now() + timedelta(seconds=1))

    (event,) = await take(events.subscribe(old), 1)

    assert event.kind == RESET
    assert event.id == await events.newest_id()


async def test_pruning_keeps_what_is_young_and_always_the_newest(
    database: Database, events: EventLog
) -> None:
    await events.publish(kind="a")
    await events.publish(kind="b")

    untouched = await events.prune()
    removed = await database.run(event_store.prune, now() + timedelta(days=1))

    assert (untouched, removed) == (0, 1)
    assert [event.kind for event in await database.run(event_store.after, 0)] == ["b"]


async def test_readers_survive_the_end_of_every_connection(
    cluster: ThrowAwayCluster, database: Database, events: EventLog
) -> None:
    reader = await listening(events)
    name = database.peewee.database
    await asyncio.to_thread(
        cluster.execute,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608
    )

    await events.publish(kind="after")

    assert [event.kind for event in await take(reader, 1)] == ["after"]


async def test_closing_the_log_ends_its_readers(events: EventLog) -> None:
    reader = await listening(events)

    await events.close()

    assert [event async for event in reader] == []


async def test_secrets_in_an_event_are_hidden(events: EventLog) -> None:
    reader = await listening(events)

    await events.publish(
        kind="x", data={"password": "hunter22", "text": "Bearer abcdefghijk"}
    )

    (event,) = await take(reader, 1)
    assert event.data == {"password": "[redacted]", "text": "Bearer [redacted]"}
