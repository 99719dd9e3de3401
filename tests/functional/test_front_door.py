"""The front door as it really runs: Nginx, with the hub, the gateway and others behind it."""

import asyncio
import contextlib
import os
import resource
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import aiohttp
import httpx
import pytest
from aiohttp.test_utils import TestServer

from appliance.certificates.first import CaFile
from appliance.certificates.shelf import Shelf
from appliance.core.clock import now
from appliance.core.front_door import certificate_file, challenge_file
from appliance.infra.database import Database
from appliance.infra.handed_files import Reader, hand_file
from appliance.infra.sealing import Sealer
from appliance.proxy import nginx, store
from appliance.proxy.configuring import Configuration
from appliance.proxy.controller import Controller
from appliance.proxy.model import NginxState
from appliance.proxy.orphans import dismiss
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for
from tests.harness.behind_the_door import Behind, behind
from tests.harness.front_door import NAME, FrontDoor, front_door
from tests.harness.ports import free_port
from tests.harness.waiting import until

SHOP = "shop.example.com"


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    """One door for the module; what stands behind it, each test starts."""
    home = Path(tempfile.mkdtemp(prefix="fd-", dir="/var/tmp"))
    try:
        with front_door(
            home,
            bind_port=free_port(),
            mcp_gateway_url=f"http://127.0.0.1:{free_port()}",
            proxy_connections_per_address=30,
            trusted_proxies="127.0.0.1",
        ) as found:
            yield found
    finally:
        rmtree(home, ignore_errors=True)


@pytest.fixture
async def hub_port(door: FrontDoor) -> AsyncIterator[Behind]:
    """Something where the hub would be."""
    async with behind(door.settings.bind_port) as place:
        yield place


@pytest.fixture
async def gateway_port(door: FrontDoor) -> AsyncIterator[Behind]:
    """Something where the gateway would be."""
    port = httpx.URL(door.settings.mcp_gateway_url).port
    assert port
    async with behind(port) as place:
        yield place


def lay(door: FrontDoor, *hosts: str) -> None:
    """Write certificates of the own CA, as whoever keeps certificates does."""
    sealer = Sealer(door.settings.jwt_secret.get_secret_value().encode())
    own = CaFile(door.settings.proxy_dir, sealer).ensure()
    shelf = Shelf(door.settings.proxy_dir, Reader.named(door.settings.proxy_user))
    for host in hosts:
        shelf.put(host, own.issue((host,), now()), now())


async def raw(door: FrontDoor, text: bytes) -> bytes:
    """Send bytes as they are, and return all that comes until the end."""
    context = door.trusting()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", door.https, ssl=context, server_hostname=NAME
    )
    writer.write(text)
    found = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()
    return found


# -- whose it is


async def test_a_certificate_that_is_laid_down_serves_without_a_reload(
    door: FrontDoor, gateway_port: Behind
) -> None:
    before = await nginx.answering(door.places)
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(door.certificate, SHOP)

    await asyncio.to_thread(lay, door, SHOP)
    async with door.client(SHOP) as client:
        answer = await client.get("/mcp")

    assert answer.status_code == 200
    assert gateway_port.requests[0].all("Host") == [f"{SHOP}:{door.https}"]
    assert before is not None
    assert before.worker in await asyncio.to_thread(nginx.workers, door.places)


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "localhost",
        NAME,
        "SHOP.EXAMPLE.COM",
        "10.0.0.1",
        "a_b.example.com",
        "default",
    ],
)
def test_who_asks_for_no_name_of_a_server_sees_the_boxs_own_certificate(
    door: FrontDoor, asked: str | None
) -> None:
    own = ssl.PEM_cert_to_DER_cert(
        certificate_file(door.settings.proxy_dir, "default")
        .read_text()
        .split("-----END")[0]
        + "-----END CERTIFICATE-----"
    )

    assert door.certificate(asked) == own


@pytest.mark.parametrize(
    "asked",
    [
        "../own-ca/root",
        "../certificates/shop.example.com",
        "a/../../x.org",
        "/etc/ssl/private/x",
        "x.org\n",
        "%2e%2e/x",
        "$host",
        "_.example.com",
        "\udcff\udcfe.org",
        ".." * 60,
    ],
)
def test_no_path_leads_out_of_the_directory_of_certificates(
    door: FrontDoor, asked: str
) -> None:
    """OpenSSL's client asks for whatever it is told; the answer is the box's own certificate, or no handshake."""
    shown = door.shown_to_openssl(asked)

    assert shown in {None, door.certificate(None)}


# -- what passes


async def test_who_asks_and_how_is_said_by_the_door_alone(
    door: FrontDoor, hub_port: Behind
) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.org",
        "X-Request-ID": "chosen-by-a-stranger",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
    }

    async with door.client() as client:
        answer = await client.get("/some/page?x=1", headers=lies)

    seen = hub_port.requests[0]
    assert seen.line == "GET /some/page?x=1 HTTP/1.1"
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.all("X-Forwarded-Proto") == ["https"]
    assert seen.all("X-Forwarded-Host") == [f"{NAME}:{door.https}"]
    assert seen.all("Forwarded") == seen.all("X-Real-IP") == []
    assert seen.all("X-Request-ID") == [answer.headers["X-Request-ID"]]
    assert answer.headers["X-Request-ID"] != "chosen-by-a-stranger"
    assert answer.headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]


@pytest.mark.parametrize(
    "path",
    [
        "/servers/a/mcp",
        "/bundles/b/sse",
        "/.well-known/oauth-protected-resource/servers/a/mcp",
    ],
)
async def test_the_gateways_paths_are_found_under_the_hubs_name(
    door: FrontDoor, gateway_port: Behind, path: str
) -> None:
    async with door.client() as client:
        assert (await client.get(path)).status_code == 200

    assert gateway_port.requests[0].line == f"GET {path} HTTP/1.1"


async def test_a_stream_passes_piece_by_piece_both_ways(
    door: FrontDoor, hub_port: Behind
) -> None:
    more: asyncio.Queue[bytes] = asyncio.Queue()

    async def upload() -> AsyncIterator[bytes]:
        while piece := await more.get():
            yield piece

    more.put_nowait(b"first")
    async with door.client() as client:
        asking = asyncio.create_task(
            client.send(
                client.build_request("POST", "/stream", content=upload()), stream=True
            )
        )
        seen = await asyncio.wait_for(hub_port.seen.get(), 5)
        assert await asyncio.wait_for(seen.body.get(), 5) == b"first"
        more.put_nowait(b"")
        answer = await asyncio.wait_for(asking, 5)
        heard = answer.aiter_bytes()
        for said in (b"data: 1\n\n", b"data: 2\n\n"):
            hub_port.say.put_nowait(said)
            assert await asyncio.wait_for(anext(heard), 5) == said
        hub_port.say.put_nowait(b"")
        await answer.aclose()


async def test_a_hosted_server_cannot_move_nginx(
    door: FrontDoor, gateway_port: Behind
) -> None:
    async with door.client() as client:
        answer = await client.get("/servers/a/mcp")
        moved = await client.get("/accel", headers={"Host": "other.example.com"})

    assert answer.json() == moved.json() == {"ok": True}
    assert gateway_port.requests[1].line == "GET /accel HTTP/1.1"


HOST = b"Host: mcp.example.org\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        (
            b"POST",
            HOST + b"Content-Length: 6\r\n" + CHUNKED,
            b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        ),
        (b"POST", HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n", b"abcde"),
        (b"POST", HOST + b"Content-Length: +5\r\n", b"abcde"),
        (b"POST", HOST + b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
        (b"POST", HOST + CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
        (b"GET", HOST + b"Host: other.example.org\r\n", b""),
        (b"GET", b"", b""),
        (b"GET", b"Host: a/b\r\n", b""),
    ],
)
async def test_what_two_readers_could_understand_differently_goes_no_further(
    door: FrontDoor,
    hub_port: Behind,
    gateway_port: Behind,
    request_: tuple[bytes, bytes, bytes],
) -> None:
    method, headers, rest = request_

    found = await raw(door, method + b" / HTTP/1.1\r\n" + headers + b"\r\n" + rest)

    assert found.split(b" ")[1] in {b"400", b"501"}
    assert hub_port.requests == gateway_port.requests == []


# -- what the door answers itself


async def test_plain_http_leads_to_tls_and_answers_challenges(door: FrontDoor) -> None:
    path = challenge_file(door.settings.proxy_dir, "token_1-x")
    reader = Reader.named(door.settings.proxy_user)
    await asyncio.to_thread(hand_file, path, b"the answer", reader)
    prefix = "/.well-known/acme-challenge"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.http}") as client:
        led = await client.post("/a/b?c=d", headers={"Host": "any.example.com"})
        answer = await client.get(
            f"{prefix}/token_1-x", headers={"Host": "new.example.com"}
        )
        outside = await client.get(f"{prefix}/..%2fcertificates%2fdefault.pem")

    assert led.status_code == 308
    assert led.headers["Location"] == f"https://any.example.com:{door.https}/a/b?c=d"
    assert (answer.status_code, answer.text) == (200, "the answer")
    assert outside.status_code in {308, 404}
    assert b"PRIVATE" not in outside.content


async def test_while_the_hub_is_away_programs_and_people_are_told(
    door: FrontDoor,
) -> None:
    async with door.client() as client:
        program = await client.get("/api/servers")
        person = await client.get("/", headers={"Accept": "text/html"})

    assert program.status_code == person.status_code == 502
    assert program.headers["Content-Type"].startswith("application/problem+json")
    assert program.json()["code"] == "hub_away"
    assert program.json()["request_id"] == program.headers["X-Request-ID"]
    assert person.headers["Content-Type"].startswith("text/html")
    assert person.headers["Retry-After"] == "5"
    assert "being started or upgraded" in person.text
    assert "Content-Security-Policy" in person.headers


@pytest.mark.usefixtures("hub_port")
async def test_one_address_has_so_many_requests_open_and_no_more(
    door: FrontDoor,
) -> None:
    async with door.client(limits=httpx.Limits(max_connections=50)) as client:
        async with contextlib.AsyncExitStack() as open_streams:
            for _ in range(30):
                await open_streams.enter_async_context(client.stream("GET", "/stream"))
            refused = await client.get("/")
        assert refused.status_code == 429
        assert refused.json()["code"] == "too_often"
        assert refused.headers["Retry-After"] == "1"


# -- the hub, and the log


async def test_the_hub_behind_the_door_knows_who_asked_and_by_which_request(
    door: FrontDoor, database: Database
) -> None:
    async with aiohttp.ClientSession() as session:
        services = await asyncio.to_thread(
            services_for, database, session, door.settings
        )
        server = TestServer(make_app(services), port=door.settings.bind_port)
        await server.start_server()
        hub = Hub(database, services, server)
        try:
            async with door.client() as client:
                page = await client.get("/healthz")
                metrics = await client.get("/metrics")
        finally:
            await hub.close()

    assert page.status_code == 200
    for name in (
        "Content-Security-Policy",
        "X-Content-Type-Options",
        "Referrer-Policy",
        "Strict-Transport-Security",
        "X-Request-ID",
        "Cross-Origin-Opener-Policy",
    ):
        assert len(page.headers.get_list(name)) == 1, name
    assert metrics.status_code == 403


# -- the controller


def controller_of(door: FrontDoor, database: Database) -> Controller:
    return Controller(
        door.settings,
        database,
        reader=Reader.named(door.settings.proxy_user),
        changed=asyncio.Event(),
    )


@pytest.mark.usefixtures("gateway_port")
async def test_a_bad_wildcard_is_left_out_by_name_and_the_others_are_served(
    door: FrontDoor, database: Database
) -> None:
    await asyncio.to_thread(lay, door, "*.good.example.com", "*.bad.example.com")
    bad = certificate_file(door.settings.proxy_dir, "*.bad.example.com")
    broken = b"-----BEGIN CERTIFICATE-----\nbroken"
    await asyncio.to_thread(hand_file, bad, broken, Reader())
    controller = controller_of(door, database)

    state = await controller.look()
    kept = await database.run(store.get)
    async with door.client("any.good.example.com") as client:
        answer = await client.get("/mcp")

    assert answer.status_code == 200
    assert state.nginx is NginxState.RUNNING
    assert state.problem == ""
    assert [(item.kind, item.name) for item in state.quarantined] == [
        ("wildcard", "*.bad.example.com")
    ]
    assert "can be read" in state.quarantined[0].reason
    assert kept == replace(state, seen_at=kept.seen_at if kept else now())
    assert state.reload_s is not None


async def test_a_reload_that_somebody_asks_for_is_done_once(
    door: FrontDoor, database: Database
) -> None:
    controller = controller_of(door, database)
    first = await controller.look()
    old = await asyncio.to_thread(nginx.workers, door.places)

    assert await database.run(store.ask_for_reload, now())
    second = await controller.look()
    third = await controller.look()

    serving = await nginx.answering(door.places)
    assert serving is not None
    assert serving.worker not in old
    assert second.reloaded_at != first.reloaded_at
    assert third.reloaded_at == second.reloaded_at
    assert first.generation == second.generation


async def test_what_was_good_serves_on_where_nothing_can_be_written(
    door: FrontDoor,
) -> None:
    configuration = Configuration(
        door.settings.model_copy(update={"proxy_hsts_seconds": 77}), Reader()
    )
    before = door.places.config.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Every file ends after some bytes, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        made = await configuration.make()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "cannot be written" in made.problem
    assert door.places.config.read_bytes() == before
    assert list(door.settings.proxy_dir.glob(".*")) == []


async def test_a_configuration_that_nginx_refuses_changes_nothing(
    door: FrontDoor,
) -> None:
    bad = door.settings.model_copy(update={"proxy_user": "nobody-of-that-name"})
    before = door.places.config.read_bytes()

    made = await Configuration(bad, Reader()).make()

    if os.geteuid() == 0:
        assert "nobody-of-that-name" in made.problem
    assert door.places.config.read_bytes() == before


async def test_without_postgres_the_controller_goes_on_from_the_disk(
    door: FrontDoor,
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", size=1)
    try:
        state = await controller_of(door, away).look()
    finally:
        await asyncio.to_thread(away.close)

    assert state.nginx is NginxState.RUNNING
    assert state.problem == ""


def has_ended(pid: int) -> bool:
    """Return whether a process is over; one that nobody has asked about yet has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    except FileNotFoundError:
        return True


async def knock(door: FrontDoor, is_over: asyncio.Event) -> int:
    """Ask on one new connection after the other, and return how many were answered; a refused one is an error."""
    answered = 0
    while not is_over.is_set():
        async with door.client() as client:
            assert (await client.get("/")).status_code == 200
        answered += 1
    return answered


@pytest.mark.usefixtures("gateway_port")
async def test_when_nginx_is_killed_its_workers_serve_on_until_the_next_one_has_the_ports(
    door: FrontDoor, hub_port: Behind
) -> None:
    assert door.process is not None
    old = await asyncio.to_thread(nginx.workers, door.places)
    is_over = asyncio.Event()
    async with door.client() as client, client.stream("GET", "/stream") as stream:
        knocking = asyncio.create_task(knock(door, is_over))
        door.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(door.process.wait)

        await asyncio.to_thread(door.start)
        new = await asyncio.to_thread(nginx.workers, door.places)
        await asyncio.to_thread(dismiss, door.places)
        # Whoever streams is not sent away.
        hub_port.say.put_nowait(b"data: still here\n\n")
        assert await anext(stream.aiter_bytes()) == b"data: still here\n\n"
        is_over.set()
        assert await knocking > 0

    await until(lambda: all(has_ended(pid) for pid in old))
    assert new
    assert not old & new
