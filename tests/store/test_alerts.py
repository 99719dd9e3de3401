"""Alerts from something that is wrong to somebody who hears of it: real Postgres, queue, program and mail server."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from typing import Any

import pytest

from appliance.accounts.model import SYSTEM
from appliance.alerts.model import ChannelKind, Condition, Severity
from appliance.alerts.outage import OutageWatch
from appliance.alerts.room import Alerts, make_alerts
from appliance.alerts.service import NewChannel
from appliance.infra.database import Database, proxy
from appliance.jobs.model import JobState
from appliance.jobs.tables import JobRow
from appliance.jobs.worker import JobWorker, Timing
from tests.cluster import ThrowAwayCluster
from tests.fakes.receivers import MailServer, Program
from tests.functional.hub import settings_for
from tests.harness.waiting import until

NOW_S = 0.0
LOW = Condition("box:disk", Severity.WARNING, "It is low.", "Make room.", NOW_S)
WAIT_S = 10


@dataclass
class Box:
    """Something is wrong with it, or nothing."""

    wrong: list[Condition] = field(default_factory=list)

    async def look(self) -> Sequence[Condition]:
        return self.wrong


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    made = Program()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    made = MailServer()
    await made.start()
    yield made
    await made.close()


async def alerts_of(database: Database, box: Box, mail_port: int = 25) -> Alerts:
    settings = await asyncio.to_thread(
        settings_for,
        public_url="https://mcp.example.org",
        remote_allow_private=True,
        smtp_host="127.0.0.1",
        smtp_port=mail_port,
        smtp_tls="none",
    )
    return make_alerts(database, settings, {"box": box.look})


def _webhook(program: Program, **values: object) -> NewChannel:
    return NewChannel(ChannelKind.WEBHOOK, program.url, **values)  # type: ignore[arg-type]  # names of fields


async def _until_told(
    database: Database, alerts: Alerts, times: int, *heard: list[Any]
) -> None:
    """Have the queue work until each of these was told so often, and that is written down."""
    worker = JobWorker(database, dict(alerts.handlers))
    await worker.start()
    try:
        async with asyncio.timeout(WAIT_S):
            await until(lambda: all(len(item) >= times for item in heard))
            await until(lambda: database.run(_is_idle))
    finally:
        await worker.stop()


def _is_idle() -> bool:
    return not JobRow.select().where(JobRow.state == JobState.RUNNING.value).exists()


async def test_begin_and_end_are_told_once_each_signed_and_by_mail(
    database: Database, program: Program, mail: MailServer
) -> None:
    box = Box([LOW])
    alerts = await alerts_of(database, box, mail.port)
    _, secret = await alerts.service.add_channel(SYSTEM, _webhook(program))
    await alerts.service.add_channel(SYSTEM, NewChannel(ChannelKind.EMAIL, "ops@example.org"))  # fmt: skip

    for _ in range(3):
        await alerts.service.look()
    await _until_told(database, alerts, 1, program.heard, mail.mails)
    box.wrong = []
    await database.run(_long_ago)
    for _ in range(3):
        await alerts.service.look()
    await _until_told(database, alerts, 2, program.heard, mail.mails)

    (headers, body), (_, last) = program.heard
    signed = headers["X-MCP-Host-Timestamp"].encode() + b"." + body
    mac = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-MCP-Host-Signature"] == f"sha256={mac}"
    assert [json.loads(item)["event"] for item in (body, last)] == ["alert.began", "alert.ended"]  # fmt: skip
    subjects = [message_from_bytes(item)["Subject"] for item in mail.mails]
    assert subjects[:1] == ["mcp.example.org: [warning] It is low."]
    (past,) = await alerts.service.page(ended=True)
    assert past.key == LOW.key
    assert await alerts.service.page(ended=False) == []


async def test_what_does_not_arrive_is_tried_again_and_the_channel_says_why(
    database: Database, program: Program
) -> None:
    program.answers = [503, 204]
    alerts = await alerts_of(database, Box([LOW]))
    await alerts.service.add_channel(SYSTEM, _webhook(program))
    await alerts.service.look()

    await _until_told(database, alerts, 1, program.heard)
    (channel,) = await alerts.service.channels()
    assert "503" in channel.last_error
    await _until_told(database, alerts, 2, program.heard)

    ids = {headers["X-MCP-Host-Delivery"] for headers, _ in program.heard}
    assert len(ids) == 1
    (channel,) = await alerts.service.channels()
    assert not channel.last_error
    assert channel.last_sent_at


async def test_what_a_stopping_hub_broke_off_is_not_written_down_as_sent(
    database: Database, program: Program
) -> None:
    program.answers_now.clear()
    alerts = await alerts_of(database, Box([LOW]))
    await alerts.service.add_channel(SYSTEM, _webhook(program))
    await alerts.service.look()
    timing = replace(Timing(), stop_s=0.1)
    worker = JobWorker(database, dict(alerts.handlers), timing=timing)
    await worker.start()
    async with asyncio.timeout(WAIT_S):
        await until(lambda: bool(program.heard))

    await worker.stop()

    (channel,) = await alerts.service.channels()
    assert (channel.last_sent_at, channel.last_error) == (None, "")
    program.answers_now.set()
    await _until_told(database, alerts, 2, program.heard)
    (channel,) = await alerts.service.channels()
    assert channel.last_sent_at


async def test_a_channel_for_what_is_critical_hears_of_nothing_less(
    database: Database, program: Program
) -> None:
    box = Box([LOW])
    alerts = await alerts_of(database, box)
    critical = _webhook(program, min_severity=Severity.CRITICAL)
    await alerts.service.add_channel(SYSTEM, critical)

    await alerts.service.look()
    box.wrong = [Condition(LOW.key, Severity.CRITICAL, "It is full.")]
    await alerts.service.look()
    await _until_told(database, alerts, 1, program.heard)

    (told,) = program.heard
    assert json.loads(told[1])["alert"]["severity"] == "critical"


async def test_a_source_that_breaks_hides_nothing_and_ends_nothing(
    database: Database,
) -> None:
    box = Box([LOW])
    alerts = await alerts_of(database, box)
    await alerts.service.look()
    box.wrong = None  # type: ignore[assignment]  # what breaks a look
    await database.run(_long_ago)

    await alerts.service.look()

    (still,) = await alerts.service.page(ended=False)
    assert still.ended_at is None


async def test_that_postgres_is_away_is_told_without_it_and_its_return_too(
    cluster: ThrowAwayCluster, database: Database, program: Program
) -> None:
    alerts = await alerts_of(database, Box())
    await alerts.service.add_channel(SYSTEM, _webhook(program))
    outage = OutageWatch(database, alerts.service._ways, after_s=0)
    await outage.look()
    name = (await database.run(lambda: database.peewee.execute_sql("SELECT current_database()").fetchone()))[0]  # fmt: skip
    close, open_ = (
        f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {word}'
        for word in ("false", "true")
    )
    await asyncio.to_thread(cluster.execute, close)
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - our own
    await asyncio.to_thread(cluster.execute, end)

    for _ in range(2):
        await outage.look()
    await asyncio.to_thread(cluster.execute, open_)
    await outage.look()
    await _until_told(database, alerts, 2, program.heard)

    events = [json.loads(body)["event"] for _, body in program.heard]
    assert events == ["alert.began", "alert.ended"]
    (past,) = await alerts.service.page(ended=True)
    assert past.severity is Severity.CRITICAL


def _long_ago() -> None:
    proxy.execute_sql("UPDATE alerts SET last_seen = now() - interval '1 hour'")
