"""The audit trail on Postgres: only added to, chained by hash, checked, exported and pruned."""

import asyncio
import time
from typing import Any

import peewee
import pytest
from pydantic import SecretStr
from structlog.contextvars import bound_contextvars

from appliance.accounts.model import Principal, Role
from appliance.infra.database import Database
from appliance.observability.audit import AuditTrail, Outcome, record
from appliance.observability.model import AuditFilter

ADA = Principal(7, "ada@example.org", Role.ADMIN, "api_key", 12)


async def written(database: Database, count: int = 3) -> AuditTrail:
    trail = AuditTrail(database, keep_days=30)
    for number in range(count):
        await trail.record(ADA, "server.stop", object_type="server", object_id=number)
    return trail


async def run(database: Database, *statements: str) -> None:
    def execute() -> None:
        for statement in statements:
            database.peewee.execute_sql(statement)

    await database.run(execute)


def unguarded(statement: str) -> tuple[str, ...]:
    """Return what somebody with the database's password can do."""
    return (
        "ALTER TABLE audit_events DISABLE TRIGGER guard_audit_events",
        statement,
        "ALTER TABLE audit_events ENABLE TRIGGER guard_audit_events",
    )


async def test_a_line_says_via_what_why_and_what_changed_without_secrets(
    database: Database,
) -> None:
    trail = AuditTrail(database)
    with bound_contextvars(audit_reason="ticket 12"):
        await trail.record(
            ADA,
            "server.update",
            object_type="server",
            before={"cpus": 1, "image": "a", "API_KEY": "0ld", "p": SecretStr("x")},
            after={"cpus": 2, "image": "a", "API_KEY": "n3w", "p": SecretStr("y")},
        )

    (line,) = await trail.list()
    assert (line.via, line.credential_id, line.reason) == ("api_key", 12, "ticket 12")
    hidden = {"API_KEY": "[redacted]", "p": "[redacted]"}
    assert line.before == {"cpus": 1, **hidden}
    assert line.after == {"cpus": 2, **hidden}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'eve'",
        "UPDATE audit_events SET seq = 9, prev_hash = '', row_hash = '' WHERE seq IS NOT NULL",
        "UPDATE audit_events SET seq = 9, actor = 'eve' WHERE seq IS NULL",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ],
)
async def test_lines_cannot_be_changed_or_removed(
    database: Database, statement: str
) -> None:
    trail = await written(database)
    await trail.chain()
    await trail.record(ADA, "server.stop", object_type="server")

    with pytest.raises(peewee.IntegrityError, match="only added to"):
        await run(database, statement)


async def test_a_whole_trail_is_intact_and_the_check_is_remembered(
    database: Database,
) -> None:
    trail = await written(database)

    report = await trail.verify()
    await trail.record(ADA, "server.stop", object_type="server")
    later = await trail.verify(report.end)

    assert (report.is_intact, report.lines, report.end.seq) == (True, 3, 3)
    assert (later.is_intact, later.lines) == (True, 4)
    state = await trail.chain_state()
    assert (state.problem, state.checked_at) == ("", report.checked_at)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit_events SET actor = 'eve' WHERE seq = 2", [(2, "changed")]),
        ("DELETE FROM audit_events WHERE seq = 2", [(2, "missing")]),
        ("DELETE FROM audit_events WHERE seq = 3", [(3, "missing")]),
    ],
)
async def test_a_broken_chain_says_where(
    database: Database, statement: str, found: list[tuple[int, str]]
) -> None:
    trail = await written(database)
    await trail.chain()

    await run(database, *unguarded(statement))
    report = await trail.verify()

    assert [(item.seq, item.what) for item in report.breaks] == found
    assert (await trail.chain_state()).problem


async def test_the_trail_of_before_chains_is_chained(database: Database) -> None:
    trail = await written(database, 1200)

    report = await trail.verify()

    assert (report.is_intact, report.lines) == (True, 1200)


async def test_a_pruned_trail_stays_checkable(database: Database) -> None:
    trail = await written(database, 4)
    first = await trail.verify()
    await run(
        database,
        *unguarded(
            "UPDATE audit_events SET at = at - interval '40 days' WHERE seq <= 2"
        ),
        # As if they had been written then.
        *unguarded("UPDATE audit_events SET seq = NULL, prev_hash = NULL"),
        "UPDATE audit_chain SET events = 0, head_hash = pruned_hash",
    )
    await trail.chain()

    await trail.prune()
    report = await trail.verify()

    lines = await trail.list()
    assert [line.action for line in lines] == ["audit.prune", *["server.stop"] * 2]
    assert (report.is_intact, report.pruned.seq, report.lines) == (True, 2, 3)
    assert first.end.seq == 4
    await run(database, *unguarded("DELETE FROM audit_events WHERE seq = 3"))
    assert [item.seq for item in (await trail.verify()).breaks] == [3]


async def test_the_export_has_every_line_in_the_order_of_the_chain(
    database: Database,
) -> None:
    trail = await written(database, 3)
    await trail.record(ADA, "key.create", object_type="key")

    everything = [line.seq async for line in trail.export()]
    some = [line.action async for line in trail.export(AuditFilter(action="key"))]

    assert everything == [1, 2, 3, 4]
    assert some == ["key.create"]


async def test_the_trail_is_searched_by_outcome_time_and_text(
    database: Database,
) -> None:
    trail = await written(database)
    with bound_contextvars(address="192.0.2.9"):
        await trail.record(
            ADA,
            "org.create",
            object_type="org",
            object_name="Blue_Team",
            outcome=Outcome.DENIED,
            after={"quota": 50},
        )
    moment = (await trail.list(limit=1))[0].at

    async def found(**wanted: Any) -> int:
        return len(await trail.list(**wanted))

    assert await found(outcome=Outcome.DENIED) == 1
    assert await found(text="blue_team") == 1
    assert await found(text="192.0.2.9") == 1
    assert await found(text='"quota": 50') == 1
    assert await found(text="%") == 0
    assert await found(since=moment) == 1
    assert await found(until=moment) == 3


async def test_refused_attempts_of_a_flood_are_summed_up(database: Database) -> None:
    trail = AuditTrail(database)
    for _ in range(50):
        await trail.denied(None, "request.denied", address="::1", object_type="request")

    await trail.sum_up()
    await trail.sum_up()

    lines = await trail.list(limit=100)
    assert lines[0].action == "request.denied_more"
    assert lines[0].details["attempts"] + len(lines) - 1 == 50
    assert len(lines) <= 42  # two minutes' worth, if one began meanwhile


async def test_writers_do_not_wait_for_the_chain(database: Database) -> None:
    """A transaction that wrote and stays open keeps neither other writers nor the chain; its line comes later."""
    trail = AuditTrail(database)
    is_written, may_end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> None:
        record(ADA, "slow", object_type="server")
        loop.call_soon_threadsafe(is_written.set)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(30)

    waiting = asyncio.create_task(database.run(slow))
    await is_written.wait()
    started = time.monotonic()

    await asyncio.gather(
        *(trail.record(ADA, "quick", object_type="server") for _ in range(20)),
        *(trail.chain() for _ in range(3)),
    )
    await trail.chain()
    before = await trail.verify()
    may_end.set()
    await waiting

    assert time.monotonic() - started < 20
    assert (before.is_intact, before.lines) == (True, 20)
    report = await trail.verify(before.end)
    assert (report.is_intact, report.lines) == (True, 21)
