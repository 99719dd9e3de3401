"""Secrets on a real Postgres: sealed, versioned, and under a master key that may be replaced at any moment."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.accounts.model import SYSTEM
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.memory_files import MemoryFiles
from appliance.jobs.queue import JobQueue
from appliance.jobs.worker import JobWorker
from appliance.observability.audit import AuditTrail
from appliance.secrets import store
from appliance.secrets.envelope import KeyRing
from appliance.secrets.errors import (
    MasterKeyError,
    SealBrokenError,
    SecretInvalidError,
    SecretManagedError,
    SecretNotFoundError,
)
from appliance.secrets.keeping import SecretKeeper
from appliance.secrets.master import MasterKeys
from appliance.secrets.model import Delivery, Keeper
from appliance.secrets.rotation import REWRAP, MasterKeyRotation
from appliance.secrets.service import SecretService
from tests.functional.builds.conftest import add_deployment

CANARY = "canary-5e1f-value"


class Box:
    """Everything of the room, on one database."""

    def __init__(self, database: Database, path: Path) -> None:
        self.database = database
        self.keys = MasterKeys(path / "keys.json")
        self.keeper = SecretKeeper(self.keys)
        self.rotation = MasterKeyRotation(database, self.keys)
        self.files = MemoryFiles(path / "memory")
        self.service = SecretService(
            database, self.keeper, self.rotation, files=self.files
        )
        self.server = database.run_blocking(add_deployment, database, "one").server_id

    async def put(self, name: str, value: str, **more: object) -> None:
        await self.database.run(
            lambda: self.keeper.put(self.server, name, value, by="ada", **more)  # type: ignore[arg-type]
        )

    async def read(self, name: str) -> str:
        return await self.database.run(self.keeper.read, self.server, name)

    async def ring(self) -> KeyRing:
        return await asyncio.to_thread(self.keys.ring)

    async def hidden(self) -> list[str] | None:
        return await asyncio.to_thread(self.files.remembered, self.server)

    async def rewrap(self) -> None:
        """Do the job, as the worker does."""
        worker = JobWorker(self.database, {REWRAP: self.rotation})
        await worker.start()
        try:
            async with asyncio.timeout(10):
                while await self.waiting():
                    await asyncio.sleep(0.02)
        finally:
            await worker.stop()

    async def waiting(self) -> bool:
        jobs = await JobQueue(self.database).list(kind=REWRAP)
        return any(not job.state.is_finished for job in jobs)


@pytest.fixture
def box(database: Database, tmp_path: Path) -> Box:
    return Box(database, tmp_path)


def dump(database: Database) -> bytes:
    """Return all that the room's tables hold."""
    found = database.run_blocking(
        lambda: database.peewee.execute_sql(
            "SELECT to_jsonb(v)::text, v.value, v.wrapped_key FROM secret_versions v"
        ).fetchall()
    )
    return b"".join(
        str(text).encode() + bytes(value or b"") + bytes(key or b"")
        for text, value, key in found
    )


async def test_a_value_is_sealed_in_the_database_and_opens(box: Box) -> None:
    await box.put("API_KEY", CANARY)

    assert await box.read("API_KEY") == CANARY
    assert CANARY.encode() not in dump(box.database)


async def test_versions_count_up_and_go_on_after_a_removal(box: Box) -> None:
    await box.put("API_KEY", "one", delivery=Delivery.FILE)
    await box.put("API_KEY", "two")
    found = await box.database.run(box.keeper.remove, box.server, "API_KEY")
    with pytest.raises(SecretNotFoundError):
        await box.read("API_KEY")
    await box.put("API_KEY", "three")

    (secret,) = await box.database.run(store.of_server, box.server)
    history = await box.database.run(store.versions, secret.id)
    assert (found.version, found.delivery) == (2, Delivery.FILE)
    assert (secret.version, secret.delivery, secret.keeper) == (
        3,
        Delivery.ENV,
        Keeper.LOCAL,
    )
    assert [(item.version, item.ended_at is None) for item in history] == [
        (3, True),
        (2, False),
        (1, False),
    ]


async def test_values_that_were_moved_to_another_row_do_not_open(box: Box) -> None:
    await box.put("A", "value-of-a")
    await box.put("B", "value-of-b")
    swap = """
        UPDATE secret_versions v SET value = o.value, wrapped_key = o.wrapped_key, key_id = o.key_id
        FROM secret_versions o WHERE o.id <> v.id
    """

    await box.database.run(box.database.peewee.execute_sql, swap)

    with pytest.raises(SealBrokenError):
        await box.read("A")


async def test_what_something_else_looks_after_is_left_to_it(box: Box) -> None:
    await box.put("REDIS_URL", "redis://:pw@r", managed_by="service:1")

    with pytest.raises(SecretManagedError):
        await box.put("REDIS_URL", "mine")
    with pytest.raises(SecretManagedError):
        await box.database.run(box.keeper.remove, box.server, "REDIS_URL")
    await box.put("REDIS_URL", "redis://:new@r", managed_by="service:1")
    assert await box.read("REDIS_URL") == "redis://:new@r"


async def test_a_server_s_values_have_a_limit_together(box: Box) -> None:
    for number in range(8):
        await box.put(f"S{number}", "x" * 60_000)

    with pytest.raises(SecretInvalidError) as caught:
        await box.put("S9", "x" * 60_000)

    assert "value" in caught.value.fields


async def test_values_set_at_once_get_versions_of_their_own(box: Box) -> None:
    await asyncio.gather(*(box.put("A", f"value-{number}") for number in range(8)))

    (secret,) = await box.database.run(store.of_server, box.server)
    assert secret.version == 8


# -- the master key


async def test_a_rotated_master_key_leaves_every_value_readable_and_the_old_key_gone(
    box: Box,
) -> None:
    for number in range(5):
        await box.put(f"S{number}", f"value-{number}")
    before = (await box.ring()).current

    state = await box.rotation.begin(SYSTEM)

    assert state.waiting == 5
    assert [await box.read(f"S{number}") for number in range(5)] == [
        f"value-{number}" for number in range(5)
    ]
    await box.put("NEW", "under-the-new-key")
    await box.rewrap()
    after = await box.rotation.state()
    assert after.current != before
    assert after.in_use == {after.current: 6}
    assert set((await box.ring()).keys) == {after.current}
    assert await box.read("S3") == "value-3"
    trail = await AuditTrail(box.database).list(limit=5)
    assert [item.action for item in trail] == ["secrets.rotate_master"]


async def test_a_rotation_that_was_cut_off_anywhere_is_taken_up(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.put("A", "value-of-a")
    await box.put("B", "value-of-b")
    old = (await box.ring()).current
    # Cut off right after the file: there is a second key, and nobody knows.
    await asyncio.to_thread(box.keys.add_key)
    assert await box.read("A") == "value-of-a"

    await box.service.prune()
    jobs = await JobQueue(box.database).list(kind=REWRAP)
    assert len(jobs) == 1

    # Asked for again, the key that was made is taken, and no third.
    await box.rotation.begin(SYSTEM)
    assert len((await box.ring()).keys) == 2
    # Cut off between two batches.
    monkeypatch.setattr("appliance.secrets.rotation.BATCH", 1)
    await box.database.run(box.rotation._move, 0)
    assert set((await box.rotation.state()).in_use) == {old, (await box.ring()).current}
    assert [await box.read("A"), await box.read("B")] == ["value-of-a", "value-of-b"]
    assert not await box.database.run(box.rotation._forget_keys)

    await box.rewrap()
    assert set((await box.ring()).keys) == {(await box.ring()).current}
    assert [await box.read("A"), await box.read("B")] == ["value-of-a", "value-of-b"]


async def test_a_key_is_not_taken_away_under_somebody_who_seals_with_it(
    box: Box,
) -> None:
    """Whoever has read the old key before the rotation commits a value under it afterwards."""
    is_sealed, may_end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow_put() -> None:
        box.keeper.put(box.server, "LATE", "late-value", by="ada")
        loop.call_soon_threadsafe(is_sealed.set)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result()

    putting = asyncio.create_task(box.database.run(slow_put))
    await is_sealed.wait()
    rotating = asyncio.create_task(box.rotation.begin(SYSTEM))
    _, waiting = await asyncio.wait({rotating}, timeout=0.2)
    assert waiting == {rotating}

    may_end.set()
    await putting
    await rotating
    await box.rewrap()
    assert await box.read("LATE") == "late-value"


async def test_a_lost_master_key_is_named_and_keeps_nothing_else_from_being_done(
    box: Box,
) -> None:
    await box.put("A", "value-of-a")
    lost = (await box.ring()).current
    box.keys.path.unlink()
    await box.put("B", "value-of-b")

    with pytest.raises(MasterKeyError, match=lost):
        await box.service.check()
    with pytest.raises(MasterKeyError, match=lost):
        await box.service.of_instance(box.server)
    await box.rotation.begin(SYSTEM)
    await box.rewrap()
    assert await box.read("B") == "value-of-b"
    assert (await box.rotation.state()).missing == (lost,)


# -- delivered, and hidden


async def test_what_an_instance_gets_is_hidden_from_then_on(box: Box) -> None:
    await box.put("A", CANARY)
    await box.put("B", "a file's content", delivery=Delivery.FILE)

    values = await box.service.of_instance(box.server)

    assert [(item.name, item.in_environment) for item in values] == [
        ("A", True),
        ("B", False),
    ]
    assert values[0].value.get_secret_value() == CANARY
    assert CANARY not in repr(values)
    assert await box.hidden() == ["a file's content", CANARY]


async def test_a_redactor_follows_what_is_set_and_remembers_what_was(box: Box) -> None:
    hide = await box.service.redactor(box.server)
    assert hide(f"is {CANARY}") == f"is {CANARY}"

    await box.put("A", CANARY)
    await box.service.refresh(box.server)
    assert hide(f"is {CANARY}") == "is [redacted]"

    await box.put("A", "another-value")
    await box.service.refresh(box.server)
    assert hide(f"was {CANARY}, is another-value") == "was [redacted], is [redacted]"


async def test_values_of_yesterday_are_forgotten_and_their_history_stays(
    box: Box,
) -> None:
    await box.put("A", CANARY)
    await box.put("A", "another-value")
    await box.service.of_instance(box.server)

    await box.database.run(
        store.forget_values, ended_before=now() + timedelta(minutes=1)
    )
    await box.service.refresh(box.server)

    (secret,) = await box.database.run(store.of_server, box.server)
    assert len(await box.database.run(store.versions, secret.id)) == 2
    assert await box.hidden() == ["another-value"]


async def test_without_the_key_everything_is_hidden(box: Box) -> None:
    await box.put("A", CANARY)
    box.keys.path.unlink()

    hide = await box.service.redactor(box.server)

    assert hide("harmless") == "[redacted]"
