"""The registry's credentials: looked at, replaced in time, by real programs, with every outcome kept in a real Postgres."""

import asyncio
import base64
import json
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.infra.database import Database
from appliance.observability.usage import usage_of
from appliance.registry import store
from appliance.registry.credentials import Asker, CredentialKeeper
from appliance.registry.publications import RegistryEvent
from appliance.settings import load_settings

HOST = "registry.example.org"
SCOPES = ("repository:team/time:push", "repository:team/time:pull")
SERVER = 7
HOUR_S = 3600
#: Prints a dockerconfigjson with a password of its own, and notes that it ran.
PRINTS = """
import json, os, sys, time
open(sys.argv[1], "a").write("run\\n")
time.sleep(float(sys.argv[2]))
entry = {"username": "robot", "password": "fresh-s3cret-" + str(time.time_ns())}
print("a warning that is no JSON", file=sys.stderr)
print(json.dumps({"auths": {os.environ["REGISTRY_HOST"]: entry}}))
"""
WRITES = """
import json, os, sys
entry = {"username": "robot", "password": "written-s3cret"}
text = json.dumps({"auths": {os.environ["REGISTRY_HOST"]: entry}})
open(os.environ["REGISTRY_AUTH_DOCKERCONFIG"], "w").write(text)
"""
MakeKeeper = Callable[..., CredentialKeeper]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with credentials that are an hour old."""
    path = tmp_path / "config.json"
    write(path, "old-s3cret")
    age(path, HOUR_S)
    return path


def write(path: Path, password: str) -> None:
    auth = base64.b64encode(f"robot:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.fixture
def make(database: Database, config: Path, tmp_path: Path) -> MakeKeeper:
    """Makes a keeper whose command is a Python program."""

    settings = load_settings(
        jwt_secret="s" * 32,
        registry=f"{HOST}/team",
        registry_auth_dockerconfig=config,
        data_dir=tmp_path,
    )

    def keeper(
        program: str | None = None, *arguments: str, **more: Any
    ) -> CredentialKeeper:
        if program is not None:
            command = (sys.executable, "-c", program, *arguments)
            more["registry_auth_refresh_command"] = command
        changed = settings.model_copy(update=more)
        return CredentialKeeper(database, changed, host=HOST)

    return keeper


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def beside(path: Path) -> list[str]:
    return sorted(item.name for item in path.parent.iterdir())


async def told(database: Database) -> list[tuple[str, RegistryEvent]]:
    """Return what was kept, oldest first."""
    names = [
        f"auth_{what}_{how}"
        for what in ("refresh", "rotation", "health")
        for how in ("started", "succeeded", "failed", "skipped", "reported")
    ]
    found = await database.run(store.events, names, limit=100)
    return [(item.event, item) for item in reversed(found)]


async def password(keeper: CredentialKeeper) -> str:
    found = await keeper.current(HOST)
    assert found
    return found.password.get_secret_value()


def runs(tmp_path: Path) -> int:
    path = tmp_path / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


# -- health


async def test_without_a_file_the_registry_is_asked_without_credentials(
    make: MakeKeeper,
) -> None:
    keeper = make(registry_auth_dockerconfig=None)

    assert (await keeper.health(HOST)).status == "anonymous"
    assert await keeper.current(HOST) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: path.write_text("{"), "It is not JSON"),
        (lambda path: path.write_text('{"auths": {}}'), f"has no entry for {HOST}"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
    ],
)
async def test_credentials_that_cannot_be_used_are_missing_with_the_reason(
    make: MakeKeeper, config: Path, change: Callable[[Path], object], words: str
) -> None:
    change(config)
    keeper = make()

    health = await keeper.health(HOST)

    assert health.status == "missing"
    assert words in health.problem
    assert str(config) in health.problem
    assert await keeper.current(HOST) is None


async def test_what_the_registry_refused_is_expired_until_the_file_changes(
    make: MakeKeeper, config: Path
) -> None:
    keeper = make()

    await keeper.refuse()
    refused = await keeper.health(HOST)
    write(config, "other")
    changed = await keeper.health(HOST)

    assert (refused.status, changed.status) == ("expired", "healthy")


# -- before a push


async def test_a_push_with_healthy_credentials_reports_them_and_rotates_nothing(
    database: Database, make: MakeKeeper, tmp_path: Path
) -> None:
    keeper = make(PRINTS, str(tmp_path / "runs"), "0")

    outcome = await keeper.before_push(SERVER, SCOPES)

    assert (outcome.health_status, outcome.rotation_attempted) == ("healthy", False)
    metrics = await database.run(usage_of, SERVER)
    assert [item.event_type for item in metrics] == ["auth_health_reported"]
    details = metrics[0].details
    assert details["status"] == "healthy"
    assert details["seconds_until_expiry"] == pytest.approx(23 * HOUR_S, abs=60)
    assert details["scopes"] == list(SCOPES)
    assert details["attempt"] == 0
    assert details["retry_limit"] == 3
    assert details["registry_endpoint"] == HOST
    assert details["error_kind"] is None
    assert details["auth_expired"] is False
    assert details["platform"] is None
    assert details["rotation_recommended"] is False
    assert details["rotation_configured"] is True
    assert runs(tmp_path) == 0


async def test_a_push_within_the_lead_rotates_first(
    database: Database, make: MakeKeeper, config: Path, tmp_path: Path
) -> None:
    age(config, 23.5 * HOUR_S)
    keeper = make(PRINTS, str(tmp_path / "runs"), "0")

    outcome = await keeper.before_push(SERVER, SCOPES)

    assert (outcome.rotation_attempted, outcome.rotation_succeeded) == (True, True)
    assert outcome.health_status == "healthy"
    assert (await password(keeper)).startswith("fresh-s3cret-")
    assert mode(config) == 0o600
    assert beside(config) == [config.name, "runs"]
    metrics = list(reversed(await database.run(usage_of, SERVER)))
    assert [item.event_type for item in metrics] == [
        "auth_health_reported",
        "auth_rotation_started",
        "auth_rotation_succeeded",
    ]
    first, _, last = (item.details for item in metrics)
    assert (first["rotation_recommended"], first["status"]) == (True, "expiring")
    assert (last["rotation_recommended"], last["status"]) == (False, "healthy")


async def test_a_rotation_that_nothing_is_configured_for_is_skipped_with_the_reason(
    database: Database, make: MakeKeeper, config: Path
) -> None:
    age(config, 48 * HOUR_S)
    keeper = make()

    outcome = await keeper.before_push(SERVER, SCOPES)

    assert (outcome.health_status, outcome.rotation_attempted) == ("expired", False)
    newest = (await database.run(usage_of, SERVER))[0]
    assert newest.event_type == "auth_rotation_skipped"
    assert newest.details["reason"] == "not_configured"
    assert newest.details["auth_expired"] is True
    assert newest.details["rotation_configured"] is False


async def test_a_rotation_that_failed_holds_no_push_up_and_is_not_tried_at_every_one(
    database: Database, make: MakeKeeper, config: Path
) -> None:
    age(config, 23.5 * HOUR_S)
    keeper = make("import sys; sys.exit(3)")

    first = await keeper.before_push(SERVER, SCOPES)
    second = await keeper.before_push(SERVER, SCOPES)

    assert (first.rotation_attempted, first.rotation_succeeded) == (True, False)
    assert second.rotation_attempted is False
    assert await password(keeper) == "old-s3cret"
    events = await told(database)
    assert [name for name, _ in events] == [
        "auth_health_reported",
        "auth_rotation_started",
        "auth_rotation_failed",
        "auth_health_reported",
        "auth_rotation_skipped",
    ]
    assert "exit code 3" in events[2][1].details["reason"]
    assert events[4][1].details["reason"] == "failed_recently"


# -- what a command may do


async def test_a_command_may_write_the_file_itself(make: MakeKeeper) -> None:
    keeper = make(WRITES)

    assert await keeper.refresh(HOST, "test")
    assert await password(keeper) == "written-s3cret"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print('s3cret garbage')", "It is not JSON"),
        ('print(\'{"auths": {"other.example.org": {}}}\')', "has no entry for"),
        ("pass", "printed nothing and did not write"),
        ("import sys; print('s3cret'); sys.exit(1)", "exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("import time; time.sleep(60)", "took longer than 1 seconds"),
        ("print('x' * 3_000_000)", "far more than a dockerconfigjson"),
    ],
)
async def test_a_command_that_brings_nothing_leaves_the_old_and_says_why(  # noqa: PLR0917 - fixtures
    database: Database,
    make: MakeKeeper,
    program: str,
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    keeper = make(program, registry_auth_refresh_timeout=1)

    assert not await keeper.refresh(HOST, "test")

    assert await password(keeper) == "old-s3cret"
    event, last = (await told(database))[-1]
    assert event == "auth_refresh_failed"
    assert words in last.details["reason"]
    assert "s3cret" not in str(last.details) + "".join(capfd.readouterr())


async def test_a_program_that_is_not_there_is_named(
    make: MakeKeeper, database: Database
) -> None:
    keeper = make(registry_auth_refresh_command=("/no/such/program",))

    assert not await keeper.refresh(HOST, "test")
    assert "/no/such/program" in (await told(database))[-1][1].details["reason"]


async def test_fresh_credentials_reach_no_log_and_no_row(
    database: Database,
    make: MakeKeeper,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    keeper = make(PRINTS, str(tmp_path / "runs"), "0")

    await keeper.refresh(HOST, "test")
    await keeper.look(Asker(SERVER, SCOPES))

    rows = await database.run(
        lambda: database.peewee.execute_sql(
            "SELECT details::text FROM usage_metrics UNION ALL SELECT details::text FROM registry_events"
            " UNION ALL SELECT data::text FROM events"
        ).fetchall()
    )
    written = str(rows) + "".join(capfd.readouterr())
    assert "s3cret" not in written
    assert "fresh-s3cret" not in repr(await keeper.current(HOST))


# -- once, however many ask


async def test_however_many_pushes_ask_at_once_the_command_runs_once(
    make: MakeKeeper, tmp_path: Path
) -> None:
    keeper = make(PRINTS, str(tmp_path / "runs"), "0.5")

    answers = await asyncio.gather(*(keeper.refresh(HOST, "test") for _ in range(8)))

    assert answers == [True] * 8
    assert runs(tmp_path) == 1


async def test_a_failure_is_shared_by_those_who_waited_for_it(
    make: MakeKeeper, tmp_path: Path
) -> None:
    program = "import sys, time; open(sys.argv[1], 'a').write('run\\n'); time.sleep(0.5); sys.exit(1)"
    keeper = make(program, str(tmp_path / "runs"))

    answers = await asyncio.gather(*(keeper.refresh(HOST, "test") for _ in range(5)))

    assert answers == [False] * 5
    assert runs(tmp_path) == 1


async def test_two_processes_do_not_both_run_the_command(
    make: MakeKeeper, tmp_path: Path
) -> None:
    """Two keepers share nothing but Postgres and the file, as two processes do."""
    keepers = [make(PRINTS, str(tmp_path / "runs"), "0.5") for _ in range(2)]

    answers = await asyncio.gather(*(item.refresh(HOST, "test") for item in keepers))

    assert answers == [True, True]
    assert runs(tmp_path) == 1


async def test_whoever_was_refused_with_older_credentials_finds_the_fresh_ones(
    make: MakeKeeper, tmp_path: Path
) -> None:
    keeper = make(PRINTS, str(tmp_path / "runs"), "0")
    old = await keeper.current(HOST)
    await keeper.refresh(HOST, "the first push")

    late = await keeper.refresh(HOST, "the second push", refused=old)
    again = await keeper.refresh(HOST, "the third", refused=await keeper.current(HOST))

    assert (late, again) == (True, True)
    assert runs(tmp_path) == 2


async def test_a_cancelled_asker_takes_the_command_along_and_nobody_else(
    make: MakeKeeper, tmp_path: Path
) -> None:
    keeper = make(PRINTS, str(tmp_path / "runs"), "1")
    first = asyncio.create_task(keeper.refresh(HOST, "cancelled"))
    while runs(tmp_path) == 0:
        await asyncio.sleep(0.02)
    second = asyncio.create_task(keeper.refresh(HOST, "waits"))

    first.cancel()

    assert await second
    assert first.cancelled()
    assert runs(tmp_path) == 2
