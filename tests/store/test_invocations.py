"""Invocations in Postgres: pages without gap, figures, days that come and go."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.accounts.model import SYSTEM, Principal
from appliance.infra.database import Database, proxy
from appliance.invocations import partitions, store
from appliance.invocations.days import partition_name
from appliance.invocations.model import Cursor, Filter, Outcome
from appliance.invocations.service import InvocationService
from tests.harness.invocations import NOON, add_call


def rows(database: Database, function: Callable[[], Any]) -> Any:
    return database.run_blocking(function)


def service(database: Database, **names: Any) -> InvocationService:
    def visible(_: Principal, server: int | str) -> int:
        return int(server)

    return InvocationService(
        database,
        visible=visible,
        people=names.get("people", lambda _: {}),
        bundles=names.get("bundles", lambda _: {}),
        keep_days=30,
    )


def all_ids(wanted: Filter, limit: int) -> list[int]:
    """Follow the pages to their end."""
    found: list[int] = []
    after: Cursor | None = None
    while True:
        page = store.page(1, wanted, after, limit)
        found += [item.id for item in page.items]
        if page.next is None:
            return found
        after = Cursor.parse(str(page.next))


def test_pages_follow_each_other_newest_first_without_gap(database: Database) -> None:
    def write_and_read() -> tuple[list[int], list[int]]:
        # Some at the same moment: a page may end between them.
        ids = [
            add_call(started_at=NOON + timedelta(seconds=number // 3))
            for number in range(25)
        ]
        add_call(server_id=2)
        return ids, all_ids(Filter(), 4)

    ids, found = rows(database, write_and_read)

    assert found == ids[::-1]


def test_a_filter_that_matches_little_looks_further_page_by_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SCAN_ROWS", 10)

    def write_and_read() -> tuple[list[int], bool, list[int]]:
        rare = [add_call(target="rare"), add_call(target="rare")]
        for number in range(35):
            add_call(started_at=NOON + timedelta(seconds=number))
        first = store.page(1, Filter(target="rare"), None, 5)
        return (
            rare,
            first.items == [] and first.next is not None,
            all_ids(Filter(target="rare"), 5),
        )

    rare, is_bounded, found = rows(database, write_and_read)

    assert is_bounded
    assert found == rare[::-1]


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(since=NOON + timedelta(seconds=1)),
        Filter(until=NOON),
        Filter(principal="user:5"),
        Filter(method="tools/list"),
        Filter(target="Find_One"),
        Filter(text="d_o"),
        Filter(outcome=Outcome.ERROR),
        Filter(status_class=5),
        Filter(error_class="tool_error"),
        Filter(min_duration_ms=50),
    ],
)
def test_a_filter_keeps_what_matches_and_nothing_else(
    database: Database, wanted: Filter
) -> None:
    matching: dict[str, dict[str, Any]] = {
        "since": {"started_at": NOON + timedelta(seconds=1)},
        "until": {"started_at": NOON - timedelta(seconds=1)},
        "principal": {"principal": "user:5"},
        "method": {"method": "tools/list"},
        "target": {"target": "Find_One"},
        "text": {"target": "Find_One"},
        "outcome": {"error_class": "rpc_error"},
        "status_class": {"http_status": 502},
        "error_class": {"error_class": "tool_error"},
        "min_duration_ms": {"duration_ms": 50.0},
    }
    name = next(key for key in matching if getattr(wanted, key) not in (None, "", 0))

    def write_and_read() -> tuple[int, list[int]]:
        add_call()
        return add_call(**matching[name]), all_ids(wanted, 10)

    kept, found = rows(database, write_and_read)

    assert found == [kept]


def test_what_went_well_is_found_alone(database: Database) -> None:
    def write_and_read() -> tuple[int, list[int]]:
        add_call(error_class="tool_error")
        return add_call(), all_ids(Filter(outcome=Outcome.OK), 10)

    kept, found = rows(database, write_and_read)

    assert found == [kept]


async def test_figures_tell_tools_apart_and_sum_them_up(database: Database) -> None:
    now = datetime.now(UTC)

    def write() -> None:
        for number in range(100):
            failed = "tool_error" if number < 10 else ""
            add_call(started_at=now, duration_ms=number + 1, error_class=failed)
        add_call(started_at=now, target="slow", duration_ms=5000)
        for target in ("file:///a", "file:///b"):
            read = {"method": "resources/read", "target": target}
            add_call(started_at=now, principal="user:5", **read)
        add_call(started_at=now - timedelta(days=3))

    await database.run(write)
    found = await service(database).summary(SYSTEM, 1, window=timedelta(hours=1))

    assert (found.total.calls, found.total.errors, found.sample) == (103, 10, None)
    echo, reads, slow = found.tools
    assert (echo.target, echo.calls, echo.error_rate) == ("echo", 100, 0.1)
    assert (echo.p50_ms, echo.max_ms) == (50.5, 100)
    assert 89 < echo.p90_ms < 92
    assert 98 < echo.p99_ms < 100
    assert (reads.method, reads.target, reads.calls) == ("resources/read", "", 2)
    assert slow.p50_ms == 5000


async def test_figures_are_of_what_people_and_clients_call(database: Database) -> None:
    now = datetime.now(UTC)

    def write() -> None:
        add_call(started_at=now, principal="user:5", method="initialize", target="")
        # By a person, through the hub.
        add_call(started_at=now, principal="hub")
        for method in ("initialize", "tools/list", "DELETE"):
            add_call(started_at=now, principal="hub", method=method, target="")

    def drawn() -> int:
        hour = timedelta(hours=1)
        found, _ = store.series(1, now - hour, now + hour, timedelta(minutes=1))
        return sum(row[1] for row in found)

    await database.run(write)
    found = await service(database).summary(SYSTEM, 1, window=timedelta(hours=1))

    assert found.total.calls == 2
    assert await database.run(drawn) == 2


async def test_figures_of_no_calls_are_none(database: Database) -> None:
    found = await service(database).summary(SYSTEM, 1, window=timedelta(hours=1))

    assert found.total.calls == 0
    assert found.total.error_rate == 0
    assert found.tools == []


async def test_callers_are_shown_by_name(database: Database) -> None:
    def write() -> None:
        for principal in ("user:5", "user:6", "bundle:3", "server:1", "hub"):
            add_call(principal=principal)

    await database.run(write)
    asked: list[Any] = []

    def people(ids: Any) -> dict[int, str]:
        asked.append(sorted(ids))
        return {5: "ada@example.org"}

    found = await service(
        database, people=people, bundles=lambda _: {3: "everything"}
    ).page(SYSTEM, 1, Filter())

    assert [item.caller for item in found.items] == [
        "the hub",
        "endpoint key",
        "everything",
        "user 6",
        "ada@example.org",
    ]
    assert asked == [[5, 6]]


# -- days


async def test_days_are_made_ahead_and_old_ones_dropped_again_and_again(
    database: Database,
) -> None:
    today = datetime.now(UTC).date()
    old = today - timedelta(days=40)
    kept = today - timedelta(days=30)
    for day in (old, kept):
        await database.run(partitions.make, day)

    for _ in range(2):
        await service(database).keep()

    names = await database.run(partitions.names)
    assert partition_name(old) not in names
    assert partition_name(kept) in names
    assert {partition_name(today + timedelta(days=ahead)) for ahead in range(8)} <= set(
        names
    )


async def test_a_new_day_takes_in_what_the_default_partition_held(
    database: Database,
) -> None:
    now = datetime.now(UTC)
    await database.run(lambda: [add_call(started_at=now) for _ in range(3)])

    await service(database).keep()

    def where() -> list[Any]:
        sql = "SELECT tableoid::regclass::text, count(*) FROM invocations GROUP BY 1"
        return list(proxy.execute_sql(sql).fetchall())

    assert await database.run(where) == [(partition_name(now.date()), 3)]


async def test_old_calls_go_from_the_default_partition_too(database: Database) -> None:
    await database.run(lambda: add_call(started_at=NOON - timedelta(days=365)))
    young = await database.run(
        lambda: add_call(started_at=datetime.now(UTC) + timedelta(days=300))
    )

    await service(database).keep()

    assert await database.run(all_ids, Filter(), 10) == [young]


def test_a_query_reads_only_the_servers_index(database: Database) -> None:
    """Of a hundred thousand rows of others it touches none."""

    def read() -> str:
        proxy.execute_sql(
            "INSERT INTO invocations (started_at, duration_ms, server_id, principal, method, target, http_status,"
            " error_class, request_bytes, response_bytes, traceparent)"
            " SELECT now() - i * interval '1 second', 1, i %% 5, 'hub', 'm', 't', 200, '', 1, 1, ''"
            " FROM generate_series(1, 50000) i"
        )
        proxy.execute_sql("ANALYZE invocations")
        scanned, values = store._scan(3, Filter(), None)
        plan = proxy.execute_sql(f"EXPLAIN {scanned} LIMIT 50", tuple(values))
        return "\n".join(row[0] for row in plan.fetchall())

    plan = rows(database, read)

    assert "Seq Scan" not in plan
    assert "Sort" not in plan
