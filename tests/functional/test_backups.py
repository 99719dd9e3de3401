"""Backups over REST and on their page; the round trip with a real engine is in tests/e2e."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.backups import store
from appliance.backups.box import alone
from appliance.backups.model import BackupState
from appliance.backups.service import MAKE, BackupService
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.settings import Settings
from tests.functional.hub import Hub
from tests.harness import pages

Client = TestClient[Any, Any]
ID = "0a1b2c3d4e5f"


@pytest.fixture
async def site(database: Database) -> AsyncIterator[pages.Hub]:
    async with pages.hub(database) as running:
        await running.sign_in()
        yield running


@pytest.fixture
def backups(database: Database, tmp_path: Path) -> BackupService:
    """One that has all it needs, which the hubs of tests have not."""
    phrase = tmp_path / "passphrase"
    phrase.write_text("correct horse battery staple\n")
    settings = Settings(
        jwt_secret="s" * 32,
        data_dir=tmp_path,
        backup_passphrase_file=phrase,
        backup_target=str(tmp_path / "target"),
    )
    return BackupService(database, settings, installation=ID)


class Somebody:
    user_id = None
    name = "ada@example.org"


async def test_without_a_passphrase_nothing_begins_and_everybody_is_told_why(
    site: pages.Hub,
) -> None:
    shown = await site.page("/backups")
    pressed = await site.post("/backups")

    assert pressed.status == HTTPStatus.CONFLICT
    assert "No backup yet" in shown
    assert "BACKUP_PASSPHRASE_FILE" in await pressed.text()


async def test_a_target_is_tried_before_anybody_relies_on_it(
    backups: BackupService, tmp_path: Path, admin: Client
) -> None:
    told = await backups.look_at_target()
    unknown = await admin.post(
        "/api/backups/check-target", json={"target": "ftp://example.org"}
    )

    assert "can be written to" in told
    assert not any(
        await asyncio.to_thread(lambda: list((tmp_path / "target").iterdir()))
    )
    assert unknown.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "ssh://" in (await unknown.json())["errors"][0]["message"]


async def test_one_backup_runs_at_a_time_and_ends_when_somebody_asks(  # noqa: PLR0917 - fixtures
    hub: Hub,
    admin: Client,
    database: Database,
    backups: BackupService,
    database_url: str,
) -> None:
    begun = await backups.start(Somebody())
    await database.run(
        store.note_progress, begun.id, {"step": "images", "number": 5, "of": 8, "bytes": 0}
    )  # fmt: skip

    def hold() -> Any:
        lock = alone(database_url)
        lock.__enter__()
        return lock

    lock = await asyncio.to_thread(hold)
    listed = await (await admin.get("/api/backups")).json()
    another = await _refused(backups)
    unsealed = await admin.post("/api/backups", json={})
    asked = await admin.post(f"/api/backups/{begun.id}/cancel")
    is_told = await database.run(store.note_progress, begun.id, {})
    await asyncio.to_thread(lock.__exit__, None, None, None)

    assert listed["items"][0]["progress"]["step"] == "images"
    assert another == "backup_running"
    assert unsealed.status == HTTPStatus.CONFLICT
    assert (await unsealed.json())["code"] == "backup_unsealed"
    assert asked.status == HTTPStatus.ACCEPTED
    assert is_told, "whoever makes it learns with its next word that it must end"
    kinds = [job.kind for job in await hub.services.jobs.list()]
    assert kinds == [MAKE]


async def _refused(backups: BackupService) -> str:
    try:
        await backups.start(Somebody())
    except Exception as error:  # noqa: BLE001 - what it is, is the question
        return str(getattr(error, "code", error))
    return ""


async def test_one_whose_process_is_gone_is_told_and_keeps_nobody_waiting(
    backups: BackupService,
) -> None:
    first = await backups.start(Somebody())

    second = await backups.start(Somebody())

    assert (await backups.get(first.id)).state is BackupState.FAILED
    assert second.state is BackupState.RUNNING


async def test_the_clock_makes_one_when_it_is_due_and_readiness_tells_of_a_failure(
    database: Database, backups: BackupService
) -> None:
    await backups.tick()
    await backups.tick()
    (only,) = await backups.page()
    await database.run(store.end, only.id, BackupState.FAILED, "No room.")
    _, problem = await backups.check()
    found = await backups.overview()

    assert only.is_scheduled
    assert "No room." in problem
    assert found.next_at is not None
    assert found.next_at - now() <= timedelta(hours=1), "sooner than in a day"


async def test_the_page_of_the_doctor_asks_for_what_it_finds(site: pages.Hub) -> None:
    at_once = await site.page("/doctor")
    found = await site.page("/doctor?now")

    assert 'hx-get="/doctor"' in at_once
    assert "mcp-host up" in found


async def test_the_page_shows_what_there_is(
    site: pages.Hub, database: Database
) -> None:
    def fill() -> None:
        done = store.begin("a.tar", "/srv", is_scheduled=True, requested_by="system")
        store.succeed(done.id, size_bytes=3 * 1024**2, summary={}, verified=True)
        broken = store.begin("b.tar", "/srv", is_scheduled=False, requested_by="ada")
        store.end(broken.id, BackupState.FAILED, "<b>No room.")
        store.begin("c.tar", "/srv", is_scheduled=False, requested_by="ada")

    await database.run(fill)

    shown = await site.page("/backups")

    assert "3 MiB" in shown
    assert "&lt;b&gt;No room." in shown
    assert "/backups/1/verify" in shown
    assert "/backups/3/cancel" in shown
    assert "/backups/2/" not in shown
