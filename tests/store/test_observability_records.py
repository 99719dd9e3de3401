"""The audit trail and usage metrics."""

import pytest
from structlog.contextvars import bound_contextvars

from appliance.accounts.model import SYSTEM, Principal, Role
from appliance.infra.database import Database
from appliance.observability.audit import AuditTrail, Outcome, record
from appliance.observability.events import EventLog
from appliance.observability.usage import record_usage, usage_of

ADA = Principal(7, "ada@example.org", Role.ADMIN, "session")


async def test_a_line_says_who_did_what_to_what_and_from_where(
    database: Database,
) -> None:
    with bound_contextvars(request_id="r1", address="192.0.2.1"):
        await database.run(
            record,
            ADA,
            "server.create",
            object_type="server",
            object_id=3,
            object_name="time",
        )

    (line,) = await AuditTrail(database).list()
    assert (line.actor_id, line.actor, line.action) == (
        7,
        "ada@example.org",
        "server.create",
    )
    assert (line.object_type, line.object_id, line.object_name) == ("server", 3, "time")
    assert (line.outcome, line.request_id, line.address) == (
        Outcome.ALLOWED,
        "r1",
        "192.0.2.1",
    )


async def test_a_line_and_its_write_come_together_or_not_at_all(
    database: Database,
) -> None:
    def fail() -> None:
        record(ADA, "server.create", object_type="server")
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(fail)

    assert await AuditTrail(database).list() == []


async def test_secrets_in_details_are_hidden(database: Database) -> None:
    details = {"environment": {"API_KEY": "k3y"}, "url": "https://me:pw@example.org"}
    await AuditTrail(database).record(ADA, "x", object_type="server", details=details)

    (line,) = await AuditTrail(database).list()
    assert line.details == {
        "environment": {"API_KEY": "[redacted]"},
        "url": "https://me:[redacted]@example.org",
    }


async def test_the_trail_pages_backwards_and_filters(database: Database) -> None:
    trail = AuditTrail(database)
    for number in range(5):
        await trail.record(ADA, "server.stop", object_type="server", object_id=number)
    await trail.record(SYSTEM, "job.cancel", object_type="job", outcome=Outcome.DENIED)

    newest = await trail.list(limit=2)
    older = await trail.list(before=newest[-1].id)

    assert [line.action for line in newest] == ["job.cancel", "server.stop"]
    assert [line.object_id for line in older] == [3, 2, 1, 0]
    assert len(await trail.list(action="server")) == 5
    assert await trail.list(action="serv") == []
    assert [line.outcome for line in await trail.list(actor="system")] == [
        Outcome.DENIED
    ]
    assert len(await trail.list(object_type="server", object_id=2)) == 1


async def test_a_usage_metric_is_kept_and_told(database: Database) -> None:
    events = EventLog(database)
    reader = events.subscribe(server_id=7, kinds={"usage.metric"})
    assert (await anext(reader)).kind == "events.reset"

    for event_type in ("start", "restart"):
        await database.run(record_usage, 7, event_type, {"deployment": 1})
    await database.run(record_usage, 8, "start", {})
    told = [await anext(reader), await anext(reader)]
    await events.close()

    kept = await database.run(usage_of, 7)
    assert [metric.event_type for metric in kept] == ["restart", "start"]
    assert [event.data["event_type"] for event in told] == ["start", "restart"]
    older = await database.run(lambda: usage_of(7, before=kept[0].id))
    assert [metric.details for metric in older] == [{"deployment": 1}]
