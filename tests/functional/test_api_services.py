"""Services of a server over REST, and their tests against real peers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from aiohttp.test_utils import TestClient

from appliance.integrations import store as services
from appliance.secrets import store as secret_store
from appliance.servers import store
from appliance.servers.egress import store as egress
from tests.cluster import ThrowAwayCluster
from tests.fakes.s3 import BucketStandIn, standing_in
from tests.functional.hub import Hub
from tests.harness.redis import own_address, redis_server

Client = TestClient[Any, Any]
SERVICES = "/api/servers/desk/services"
PASSWORD = "a-canary-of-a-password"
REDIS = {"kind": "redis", "url": f"redis://:{PASSWORD}@cache.example.org:6380/2"}


@pytest.fixture
async def desk(hub: Hub, admin: Client) -> int:
    """The number of a server that was built."""
    made = await admin.post(
        "/api/servers",
        json={
            "name": "desk",
            "image": "example.org/desk:1",
            "environment": {"PGHOST": "elsewhere"},
        },
    )
    server_id = int((await made.json())["server"]["id"])

    def built() -> None:
        newest = store.deployments(server_id)[0]
        store.set_built(newest.id, image="example.org/desk:1", resolved={})

    await hub.database.run(built)
    return server_id


async def _added(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(SERVICES, json=body)
    assert response.status == 201, await response.text()
    return dict(await response.json())


async def test_a_service_reaches_the_server_and_nobody_reads_its_password_again(
    hub: Hub, admin: Client, desk: int
) -> None:
    before = await hub.database.run(store.deployments, desk)

    added = await _added(admin, REDIS)
    shown = await (await admin.get(SERVICES)).text()
    trail = await (await admin.get("/api/audit", params={"limit": 1})).text()
    secrets = await (await admin.get("/api/servers/desk/secrets")).text()

    plain = await hub.database.run(services.environment, desk)
    keeper = hub.services.integrations._keeper
    url = await hub.database.run(keeper.read, desk, "REDIS_URL")
    policy, _ = await hub.database.run(egress.counting, desk)
    after = await hub.database.run(store.deployments, desk)
    assert added["name"] == "redis"
    assert added["secret_variables"] == ["REDIS_PASSWORD", "REDIS_URL"]
    assert plain["REDIS_HOST"] == "cache.example.org"
    assert url == REDIS["url"]
    assert "cache.example.org:6380" in policy.hosts
    assert len(after) == len(before) + 1
    assert "services.add" in trail
    assert "service:" in secrets
    assert PASSWORD not in shown + trail + secrets + str(plain)


async def test_a_change_keeps_the_password_and_takes_away_what_is_no_more(
    hub: Hub, admin: Client, desk: int
) -> None:
    added = await _added(admin, REDIS)

    changed = await admin.put(
        f"{SERVICES}/{added['id']}",
        json={"kind": "redis", "name": "cache", "prefix": "CACHE_", "host": "new"},
    )
    other = await admin.put(
        f"{SERVICES}/{added['id']}",
        json={"kind": "s3", "bucket": "abc"},
    )

    keeper = hub.services.integrations._keeper
    url = await hub.database.run(keeper.read, desk, "CACHE_REDIS_URL")
    names = [item.name for item in await hub.database.run(secret_store.of_server, desk)]
    assert changed.status == 200, await changed.text()
    assert url == f"redis://:{PASSWORD}@new:6379/0"
    assert sorted(names) == ["CACHE_REDIS_PASSWORD", "CACHE_REDIS_URL"]
    assert other.status == 422


async def test_what_is_removed_leaves_nothing(
    hub: Hub, admin: Client, desk: int
) -> None:
    added = await _added(admin, REDIS)
    managed = await admin.delete("/api/servers/desk/secrets/REDIS_URL")

    gone = await admin.delete(f"{SERVICES}/{added['id']}")
    again = await admin.delete(f"{SERVICES}/{added['id']}")

    policy, _ = await hub.database.run(egress.counting, desk)
    assert (managed.status, (await managed.json())["code"]) == (409, "secret_managed")
    assert (gone.status, again.status) == (204, 404)
    assert await hub.database.run(secret_store.of_server, desk) == []
    assert "cache.example.org:6380" not in policy.hosts


@pytest.mark.usefixtures("desk")
async def test_two_things_do_not_set_one_variable(admin: Client) -> None:
    await _added(admin, REDIS)

    same = await admin.post(SERVICES, json={**REDIS, "name": "other"})
    configured = await admin.post(
        SERVICES,
        json={"kind": "postgres", "url": "postgres://app:x@db.example.org/main"},
    )
    beside = await admin.post(
        SERVICES, json={**REDIS, "name": "other", "prefix": "OTHER_"}
    )

    assert (same.status, configured.status, beside.status) == (409, 409, 201)
    assert "prefix" in (await same.json())["hint"]
    assert "PGHOST" in (await configured.json())["detail"]


@pytest.mark.usefixtures("desk")
async def test_custom_variables_are_secrets_and_stay_when_they_are_not_given(
    hub: Hub, admin: Client, desk: int
) -> None:
    body = {"kind": "custom", "name": "mail", "variables": {"MAIL_KEY": PASSWORD}}
    added = await _added(admin, body)

    changed = await admin.put(
        f"{SERVICES}/{added['id']}",
        json={**body, "variables": {"MAIL_KEY": None, "MAIL_FROM": "a@example.org"}},
    )
    untested = await admin.post(f"{SERVICES}/{added['id']}/test")

    keeper = hub.services.integrations._keeper
    assert changed.status == 200, await changed.text()
    assert await hub.database.run(keeper.read, desk, "MAIL_KEY") == PASSWORD
    assert await hub.database.run(keeper.read, desk, "MAIL_FROM") == "a@example.org"
    assert (untested.status, (await untested.json())["errors"][0]["field"]) == (
        422,
        "host",
    )


async def _tested(client: Client, body: dict[str, Any]) -> tuple[bool, str]:
    added = await _added(client, body)
    answer = await client.post(f"{SERVICES}/{added['id']}/test")
    assert answer.status == 200, await answer.text()
    kept = await (await client.get(f"{SERVICES}/{added['id']}")).json()
    await client.delete(f"{SERVICES}/{added['id']}")
    found = await answer.json()
    assert kept["last_test"]["detail"] == found["detail"]
    assert 0 < found["duration_ms"] < 10_000
    return found["ok"], found["detail"]


@pytest.mark.usefixtures("desk")
async def test_a_real_redis_is_asked_as_its_clients_do(admin: Client) -> None:
    def started() -> Any:
        running = redis_server(PASSWORD)
        return running, running.__enter__()

    running, port = await asyncio.to_thread(started)
    body = {"kind": "redis", "host": own_address(), "port": port, "password": PASSWORD}
    try:
        good = await _tested(admin, body)
        wrong = await _tested(admin, {**body, "password": "another-password"})
        without = await _tested(admin, {**body, "password": None})
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
    nobody = await _tested(admin, body)

    assert good[0], good
    assert good[1].startswith("Redis ")
    assert (wrong[0], without[0], nobody[0]) == (False,) * 3
    assert "password is wrong" in wrong[1]
    assert "wants a password" in without[1]
    assert "Nobody answers" in nobody[1]


@asynccontextmanager
async def relayed(target: Path) -> AsyncIterator[int]:
    """Pass on what comes to a port at this box's own address to a unix socket."""

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.write_eof()

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(target)
        with closing(writer), closing(inner_writer):
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, own_address(), 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    await asyncio.sleep(0)  # what is closed is closed in the loop's next round


@pytest.fixture
async def postgres_port(cluster: ThrowAwayCluster) -> AsyncIterator[int]:
    """The port of a Postgres that lets one user in, by password."""

    def let_in() -> Path:
        with closing(psycopg2.connect(cluster.url())) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW hba_file")
            rules = Path((cursor.fetchone() or ("",))[0])
            cursor.execute("SHOW unix_socket_directories")
            directory = Path((cursor.fetchone() or ("",))[0])
        before = rules.read_text()
        if "app scram" not in before:
            cluster.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
            rules.write_text(f"local all app scram-sha-256\n{before}")
            cluster.execute("SELECT pg_reload_conf()")
        return directory / ".s.PGSQL.5432"

    async with relayed(await asyncio.to_thread(let_in)) as port:
        yield port


@pytest.mark.usefixtures("desk")
async def test_a_real_postgres_is_asked_as_its_clients_do(
    admin: Client, postgres_port: int
) -> None:
    body = {
        "kind": "postgres",
        "host": own_address(),
        "port": postgres_port,
        "username": "app",
        "database": "postgres",
        "prefix": "DB_",
    }

    good = await _tested(admin, {**body, "password": PASSWORD})
    wrong = await _tested(admin, {**body, "password": "another-password"})
    missing = await _tested(
        admin, {**body, "password": PASSWORD, "database": "missing"}
    )
    verified = await _tested(
        admin, {**body, "password": PASSWORD, "ssl_mode": "require"}
    )

    assert good[0], good
    assert good[1].startswith("PostgreSQL 1")
    assert (wrong[0], missing[0], verified[0]) == (False,) * 3
    assert "password is wrong" in wrong[1]
    assert "does not exist" in missing[1]
    assert "another-password" not in wrong[1]


@pytest.mark.usefixtures("desk")
async def test_a_bucket_is_asked_for_with_a_signature(admin: Client) -> None:
    bucket = BucketStandIn("files", "eu-central-1", "AKIA-CANARY", PASSWORD)
    async with standing_in(bucket, own_address()) as endpoint:
        body = {
            "kind": "s3",
            "endpoint": endpoint,
            "bucket": "files",
            "region": "eu-central-1",
            "access_key_id": "AKIA-CANARY",
        }
        good = await _tested(admin, {**body, "secret_access_key": PASSWORD})
        wrong = await _tested(admin, {**body, "secret_access_key": "wrong-key"})
        missing = await _tested(
            admin, {**body, "secret_access_key": PASSWORD, "bucket": "others"}
        )
        tls = await _tested(
            admin,
            {**body, "endpoint": "https" + endpoint[4:], "secret_access_key": "x"},
        )

    assert good == (True, "The bucket files is there, and the keys open it.")
    assert not wrong[0]
    assert "do not open" in wrong[1]
    assert "no bucket others" in missing[1]
    assert "http or https" in tls[1]
    assert set(bucket.asked) == {"HEAD /files", "HEAD /others"}


async def test_nobody_but_an_administrator_has_the_box_itself_tested(
    hub: Hub, admin: Client, maintainer: Client
) -> None:
    del admin
    await maintainer.post(
        "/api/servers", json={"name": "desk", "image": "example.org/desk:1"}
    )
    del hub

    async def asked(host: str) -> tuple[int, str]:
        added = await _added(
            maintainer,
            {"kind": "custom", "host": host, "port": 9, "variables": {"A": "b"}},
        )
        answer = await maintainer.post(f"{SERVICES}/{added['id']}/test")
        await maintainer.delete(f"{SERVICES}/{added['id']}")
        return answer.status, (await answer.json()).get("code", "")

    own = await asked(own_address())
    metadata = await asked("169.254.169.254")
    loopback = await maintainer.post(SERVICES, json={"kind": "redis", "host": "::1"})

    assert own == (403, "service_address_forbidden")
    assert metadata == (403, "service_address_forbidden")
    assert loopback.status == 422


async def test_services_of_others_are_unknown(hub: Hub, desk: int) -> None:
    other = await hub.client(await hub.person("other@example.org"))

    listed = await other.get(SERVICES)
    added = await other.post(SERVICES, json=REDIS)

    assert (listed.status, added.status) == (404, 404)
    assert await hub.database.run(services.of_server, desk) == []
