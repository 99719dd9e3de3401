"""The registry as administrators see it: over REST, on the page, in a terminal, in /readyz; and the jobs behind the buttons."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.bootstrap import registry_check
from appliance.core.errors import DomainError
from appliance.core.images import Published, PublishedPlatform
from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.jobs.queue import JobQueue
from appliance.observability.usage import usage_of
from appliance.registry import store
from appliance.registry.client import RegistryClient
from appliance.registry.credentials import CredentialKeeper
from appliance.registry.rotation import RefreshFailedError
from appliance.registry.tasks import CHECK, ROTATE, CheckTask, RotateTask, look_around
from appliance.registry.upkeep import RegistryUpkeep
from appliance.settings import Settings
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for, settings_for
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import hub as site_of
from tests.harness.registry import Registry, registry

Client = TestClient[Any, Any]
HOST = "registry.example.org"
DIGEST = "sha256:" + "ab" * 32
#: Prints whatever the file beside it says.
PRINTS = "import sys; print(open(sys.argv[1]).read())"


def write(path: Path, config: object, *, age_s: float = 60) -> None:
    path.write_text(json.dumps(config))
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


def config_for(host: str, password: str = "") -> dict[str, object]:
    entry = {"username": "pusher", "password": password or "right"}
    return {"auths": {host: entry}}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "registry.json"
    write(path, config_for(HOST))
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    """Settings of a box that pushes."""
    return settings_for(registry=f"{HOST}/team", registry_auth_dockerconfig=config)


@asynccontextmanager
async def running(database: Database, settings: Settings) -> AsyncIterator[Hub]:
    async with aiohttp.ClientSession() as session:
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        yield hub
        await hub.close()


@pytest.fixture
async def pushing(database: Database, settings: Settings) -> AsyncIterator[Hub]:
    """A hub that pushes."""
    async with running(database, settings) as hub:
        yield hub


@pytest.fixture
async def boss(pushing: Hub) -> Client:
    return await pushing.client(await pushing.person("admin@example.org"))


async def publish(database: Database) -> None:
    platforms = tuple(
        PublishedPlatform(item, "", DIGEST) for item in ("linux/amd64", "linux/arm64")
    )
    published = Published(
        f"{HOST}/team/time", "box-1", DIGEST, is_multi_arch=True, platforms=platforms
    )
    await database.run(store.add_publication, 7, 1, published)


# -- REST


async def test_without_a_registry_everything_says_so(admin: Client) -> None:
    found = await (await admin.get("/api/registry")).json()
    refused = await admin.post("/api/registry/check")

    assert (found["configured"], found["health"]) == (False, None)
    assert refused.status == 409
    problem = await refused.json()
    assert problem["code"] == "registry_not_configured"
    assert "REGISTRY" in problem["hint"]


async def test_the_registry_shows_its_credentials_and_what_was_pushed(
    database: Database, boss: Client
) -> None:
    await publish(database)

    found = await (await boss.get("/api/registry")).json()

    assert found["configured"] is True
    assert found["registry"] == f"{HOST}/team"
    assert found["health"]["status"] == "healthy"
    assert found["health"]["seconds_until_expiry"] == pytest.approx(86340, abs=30)
    assert found["health"]["rotation_configured"] is False
    assert found["publications"][0]["tag"] == "box-1"
    assert set(found["publications"][0]["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert "password" not in json.dumps(found)


async def test_a_check_is_a_job_and_in_the_trail(boss: Client) -> None:
    answer = await boss.post("/api/registry/check")
    again = await (await boss.post("/api/registry/check")).json()

    assert answer.status == 202
    job = await answer.json()
    assert job["kind"] == CHECK
    assert again["id"] == job["id"]
    trail = await (await boss.get("/api/audit?action=registry")).json()
    assert trail["items"][0]["action"] == "registry.check"


async def test_a_rotation_that_nothing_can_do_is_refused_with_what_to_set(
    boss: Client,
) -> None:
    refused = await boss.post("/api/registry/rotate")

    assert refused.status == 409
    problem = await refused.json()
    assert problem["code"] == "registry_rotation_not_configured"
    assert "REGISTRY_AUTH_REFRESH_COMMAND" in problem["hint"]


async def test_pruning_names_one_server_or_means_all(
    database: Database, boss: Client
) -> None:
    await publish(database)

    everything = await (await boss.post("/api/registry/prune", json={})).json()
    unknown = await boss.post("/api/registry/prune", json={"server": "nobody"})

    job = await (await boss.get(f"/api/jobs/{everything['jobs'][0]}")).json()
    assert job["payload"] == {"server_id": 7, "repository": f"{HOST}/team/time"}
    assert unknown.status == 404


@pytest.mark.parametrize("path", ["", "/check", "/rotate", "/prune"])
async def test_others_may_neither_look_nor_do(pushing: Hub, path: str) -> None:
    await pushing.person("admin@example.org")
    maintainer = await pushing.client(await pushing.person("m@example.org"))
    address = f"/api/registry{path}"

    answer = await (
        maintainer.post(address, json={}) if path else maintainer.get(address)
    )

    assert answer.status == 403


# -- the page


async def test_the_page_of_a_box_without_a_registry_says_what_to_set(
    database: Database,
) -> None:
    async with site_of(database) as site:
        await site.sign_in()

        text = await site.page("/registry")

    assert "REGISTRY_AUTH_DOCKERCONFIG=" in text
    assert "Check now" not in text


async def test_the_page_shows_health_age_pushes_and_rotations(
    database: Database, config: Path
) -> None:
    await asyncio.to_thread(write, config, config_for(HOST), age_s=43200)
    await publish(database)
    details = {"reason": "not_configured"}
    await database.run(store.add_event, "auth_rotation_skipped", HOST, details)
    async with site_of(
        database, registry=f"{HOST}/team", registry_auth_dockerconfig=config
    ) as site:
        await site.sign_in()

        text = await site.page("/registry")
        part = await (await site.get("/registry", **{"HX-Request": "true"})).text()
        sent = await site.post("/registry/check")

    assert 'value="50"' in text
    assert "Healthy" in text
    assert f"{HOST}/team/time:box-1" in text
    assert "linux/amd64, linux/arm64" in text
    assert "not configured" in text
    assert part.lstrip().startswith('<div id="registry-state"')
    assert sent.headers["Location"] == "/registry"


# -- the terminal


async def test_mcpctl_shows_the_registry_and_asks_for_work(
    database: Database, pushing: Hub, tmp_path: Path
) -> None:
    await publish(database)
    terminal = Terminal(pushing, tmp_path)
    terminal.show_key(await pushing.person("admin@example.org"))

    status = await terminal.run("registry", "status")
    checking = await terminal.run("registry", "check", "--no-wait", "--json")
    refused = await terminal.run("registry", "rotate")
    pruning = await terminal.run("registry", "prune")

    assert (status.code, status.err) == (0, "")
    assert "healthy" in status.out
    assert f"{HOST}/team/time:box-1" in status.out
    assert checking.json()["kind"] == CHECK
    assert refused.code == 1
    assert "REGISTRY_AUTH_REFRESH_COMMAND" in refused.err
    assert pruning.out.startswith("pruning as jobs")


# -- /readyz


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (60, "are good until"),
        (86400 - 60, "degraded: "),
        (86400 + 60, "registry_credentials_expired: "),
        (None, "degraded: "),
    ],
)
async def test_readiness_fails_only_when_credentials_have_expired(  # noqa: PLR0917 - fixtures
    database: Database,
    settings: Settings,
    config: Path,
    age_s: float | None,
    expected: str,
) -> None:
    if age_s is None:
        await asyncio.to_thread(config.unlink)
    else:
        await asyncio.to_thread(write, config, config_for(HOST), age_s=age_s)
    keeper = CredentialKeeper(database, settings, host=HOST)
    check = registry_check(RegistryUpkeep(database, settings, keeper))

    try:
        told = await check()
    except DomainError as error:
        # Only what is degraded lets the hub be ready.
        told = f"{error.code}: {error.reason}"

    assert expected in told


async def test_a_box_without_a_registry_is_ready(
    database: Database, settings: Settings
) -> None:
    keeper = CredentialKeeper(database, settings, host="")

    told = await registry_check(RegistryUpkeep(database, settings, keeper))()

    assert "REGISTRY is not set" in told


# -- the jobs, with a registry that wants a password


@pytest.fixture(scope="module")
def box() -> Iterator[Registry]:
    with registry("htpasswd") as started:
        yield started


@pytest.fixture
def guarded(box: Registry, tmp_path: Path) -> Settings:
    """Settings with credentials that the registry takes, and a command that brings them again."""
    path, fresh = tmp_path / "guarded.json", tmp_path / "fresh.json"
    write(path, box.docker_config())
    write(fresh, box.docker_config())
    return settings_for(
        registry=f"{box.host}/team",
        registry_auth_dockerconfig=path,
        registry_auth_refresh_command=(sys.executable, "-c", PRINTS, str(fresh)),
    )


async def context(database: Database, kind: str) -> JobContext:
    async def report(_done: float, _total: float | None, _message: str) -> None:
        pass

    queue = JobQueue(database)
    return JobContext(await queue.get(await queue.enqueue(kind, {})), report)


@asynccontextmanager
async def keeping(
    database: Database, settings: Settings, host: str
) -> AsyncIterator[tuple[CredentialKeeper, RegistryClient]]:
    keeper = CredentialKeeper(database, settings, host=host)
    async with aiohttp.ClientSession() as session:
        client = RegistryClient(
            session, host, credentials=lambda: keeper.current(host), plain=True
        )
        yield keeper, client


async def names(database: Database) -> list[str]:
    found = await database.run(
        store.events,
        [
            f"auth_{item}"
            for item in (
                "health_reported",
                "rotation_started",
                "rotation_succeeded",
                "rotation_failed",
                "rotation_skipped",
            )
        ],
    )
    return [item.event for item in reversed(found)]


async def test_the_sweep_asks_for_one_check_however_often_it_runs(
    pushing: Hub,
) -> None:
    await pushing.database.run(look_around)
    await pushing.database.run(look_around)

    assert len(await pushing.services.jobs.list(kind=CHECK)) == 1


async def test_credentials_that_the_registry_takes_are_healthy(
    database: Database, box: Registry, guarded: Settings
) -> None:
    async with keeping(database, guarded, box.host) as (keeper, client):
        await CheckTask(keeper, client)(await context(database, CHECK), {})

        assert (await keeper.health(box.host)).status == "healthy"
    assert await names(database) == ["auth_health_reported"]
    assert await database.run(usage_of, 0) == []


async def test_credentials_that_the_registry_refuses_are_replaced_though_they_are_young(
    database: Database, box: Registry, guarded: Settings
) -> None:
    path = guarded.registry_auth_dockerconfig
    assert path
    await asyncio.to_thread(write, path, config_for(box.host, "wrong"))
    async with keeping(database, guarded, box.host) as (keeper, client):
        await CheckTask(keeper, client)(await context(database, CHECK), {})

        await client.ping()
        assert (await keeper.health(box.host)).status == "healthy"
    assert await names(database) == [
        "auth_health_reported",
        "auth_rotation_started",
        "auth_rotation_succeeded",
    ]


async def test_a_registry_that_takes_them_again_makes_them_healthy_again(
    database: Database, box: Registry, guarded: Settings
) -> None:
    async with keeping(database, guarded, box.host) as (keeper, client):
        await keeper.refuse()
        refused = await keeper.health(box.host)

        await CheckTask(keeper, client)(await context(database, CHECK), {})

        assert refused.status == "expired"
        assert (await keeper.health(box.host)).status == "healthy"
    assert await names(database) == ["auth_health_reported"]


async def test_a_registry_that_is_away_says_nothing_about_the_credentials(
    database: Database, guarded: Settings, config: Path
) -> None:
    nowhere = "127.0.0.1:21399"
    await asyncio.to_thread(write, config, config_for(nowhere))
    changed = guarded.model_copy(update={"registry_auth_dockerconfig": config})
    async with keeping(database, changed, nowhere) as (keeper, client):
        await CheckTask(keeper, client)(await context(database, CHECK), {})

        assert (await keeper.health(nowhere)).status == "healthy"
    (last,) = await database.run(store.events, ["auth_health_reported"])
    assert "connection was refused" in last.details["trouble"]


async def test_a_rotation_by_hand_runs_the_command_and_fails_as_a_job(
    database: Database, box: Registry, guarded: Settings
) -> None:
    broken = guarded.model_copy(update={"registry_auth_refresh_command": ("false",)})
    async with keeping(database, guarded, box.host) as (keeper, _):
        await RotateTask(keeper)(await context(database, ROTATE), {})
    async with keeping(database, broken, box.host) as (keeper, _):
        with pytest.raises(RefreshFailedError, match="exit code 1"):
            await RotateTask(keeper)(await context(database, ROTATE), {})

    assert await names(database) == [
        "auth_health_reported",
        "auth_rotation_started",
        "auth_rotation_succeeded",
        "auth_health_reported",
        "auth_rotation_started",
        "auth_rotation_failed",
    ]
