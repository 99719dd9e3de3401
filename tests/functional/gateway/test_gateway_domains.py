"""Names of their own in front of the gateway: each leads to one server, at once, and tokens are for that name alone."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.infra.database import Database
from tests.cluster import ThrowAwayCluster
from tests.fakes.mcp_box import BOTH, Box, tool_call, wait_until
from tests.functional.gateway.conftest import run_directory
from tests.harness.oauth import Client, register
from tests.harness.pages import hub

NAMES = {
    "mcp.acme.com": "web",
    "*.wild.acme.com": "web",
    "other.acme.com": "other",
}
BASE = "box.example.net"


@dataclass
class Front:
    """A gateway as the front door's Nginx asks it."""

    box: Box

    def ask(
        self,
        host: str,
        path: str = "/mcp",
        *,
        method: str = "POST",
        key: str = "",
        message: Any = None,
        **headers: str,
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.box.port, timeout=10)
        sent = {
            "Host": host,
            "X-Forwarded-For": "192.0.2.55",
            "X-Forwarded-Proto": "https",
        } | (BOTH | {"Authorization": f"Bearer {key}"} if key else BOTH)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps(message or tool_call("headers")) if method == "POST" else None
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def status(self, host: str, path: str = "/mcp", **more: Any) -> int:
        return self.ask(host, path, **more)[0]

    def add(self, host: str, server: str, redirect_to: str | None = None) -> None:
        self.box.execute(
            "INSERT INTO domains (server_id, host, redirect_to, challenge, verified_by, verified_at, status, created_by)"
            " SELECT id, %s, %s, '', 'txt', now(), 'active', 'ada' FROM servers WHERE name = %s",
            host,
            redirect_to,
            server,
        )

    def loads(self) -> str:
        """Return how often the gateway has read its table."""
        _, text = self.box.get("/metrics")
        return next(line for line in str(text).splitlines() if line.startswith("mcp_gateway_route_loads_total"))  # fmt: skip

    def settled(self, host: str, wanted: int, **more: Any) -> None:
        """Wait until the gateway's one worker says so."""
        wait_until(lambda: self.status(host, **more) == wanted, f"{host}: {wanted}")


SETTINGS: dict[str, Any] = {
    "gw_workers": 1,
    "proxy_enabled": True,
    "base_domain": BASE,
}


def filled(box: Box, web_server: str) -> Front:
    """Return a gateway with two servers, and names for both."""
    box.host_http("other", f"{web_server}/mcp")
    box.host_http("web", f"{web_server}/mcp")
    front = Front(box)
    for host, server in NAMES.items():
        front.add(host, server)
    front.settled("mcp.acme.com", 200, key=box.key)
    return front


@pytest.fixture(scope="module")
def front(
    cluster: ThrowAwayCluster, migrated_template: str, web_server: str
) -> Iterator[Front]:
    """A gateway of this module's own."""
    name = "gateway_domains"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    with run_directory() as run_dir:
        box = Box(cluster.url(name), run_dir, public_url="https://hub.test", **SETTINGS)
        box.start()
        yield filled(box, web_server)
        assert box.stop() == 0, box.log.read_text()
    cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_name_leads_to_its_server_and_to_no_other(front: Front) -> None:
    key = front.box.key
    good = {
        host: front.status(host, key=key)
        for host in (
            "mcp.acme.com", "MCP.acme.com", "mcp.acme.com.", "mcp.acme.com:8443", "a.wild.acme.com", f"web.{BASE}",
            "other.acme.com", "a.b.wild.acme.com", f"none.{BASE}",
        )
    }  # fmt: skip
    paths = {
        path: front.status("mcp.acme.com", path, key=key, method=method)
        for path, method in (
            ("/mcp/", "POST"), ("/servers/web/mcp", "POST"), ("/servers/other/mcp", "POST"), ("/bundles/x/mcp", "POST"),
            ("/healthz", "GET"), ("/metrics", "GET"), ("/readyz", "GET"), ("/instances/1/traffic", "GET"), ("/", "POST"),
        )
    }  # fmt: skip
    status, _, text = front.ask("mcp.acme.com:8443", "/", method="GET")

    assert list(good.values()) == [200] * 6 + [404, 404, 404], good
    assert list(paths.values()) == [200, 404, 404, 404, 404, 404, 404, 404, 405]
    assert (status, json.loads(text)["mcp"]) == (200, "https://mcp.acme.com:8443/mcp")
    assert front.status("hub.test", "/servers/web/mcp", key=key) == 200


def test_names_come_and_go_without_a_table_being_read(front: Front) -> None:
    key = front.box.key
    loads = front.loads()

    front.add("new.acme.com", "web")
    front.settled("new.acme.com", 200, key=key)
    assert front.status("old.acme.com", key=key) == 404
    front.add("old.acme.com", "web", "new.acme.com")
    front.settled("old.acme.com", 308, key=key)
    _, headers, _ = front.ask("old.acme.com:8443", "/mcp?a=%20b&c", key=key)
    front.box.execute("DELETE FROM domains WHERE host = 'new.acme.com'")
    front.settled("new.acme.com", 404, key=key)
    front.box.execute(
        "UPDATE domains SET redirect_to = NULL WHERE host = 'old.acme.com'"
    )
    front.settled("old.acme.com", 200, key=key)

    assert headers["Location"] == "https://new.acme.com:8443/mcp?a=%20b&c"
    assert front.loads() == loads


def test_pages_of_a_name_may_call_it_and_no_others_may(front: Front) -> None:
    key = front.box.key

    own = front.status("mcp.acme.com", key=key, Origin="https://mcp.acme.com")
    others = [
        front.status("mcp.acme.com", key=key, Origin=f"https://{origin}")
        for origin in ("other.acme.com", "evil.test")
    ]
    at_the_box = front.status(
        "hub.test", "/servers/web/mcp", key=key, Origin="https://mcp.acme.com"
    )

    assert own == 200
    assert (*others, at_the_box) == (403, 403, 403)


def test_a_stream_of_an_older_client_is_told_of_the_short_path_and_ends_with_the_name(
    front: Front,
) -> None:
    front.add("sse.acme.com", "web")
    front.settled("sse.acme.com", 200, key=front.box.key)
    connection = http.client.HTTPConnection("127.0.0.1", front.box.port, timeout=30)
    headers = {
        "Host": "sse.acme.com",
        "X-Forwarded-For": "192.0.2.55",
        "Authorization": f"Bearer {front.box.key}",
        "Accept": "text/event-stream",
    }
    connection.request("GET", "/sse", headers=headers)
    stream = connection.getresponse()
    stream.readline()
    endpoint = stream.readline().decode().strip()

    front.box.execute("DELETE FROM domains WHERE host = 'sse.acme.com'")
    rest = stream.read()

    assert endpoint.startswith("data: /messages?session_id=")
    assert b"data: /messages" not in rest, "it ended, and was not begun again"
    connection.close()


def test_cards_name_the_first_name_of_a_server(front: Front) -> None:
    with front.box.one_transaction():
        front.box.execute("""UPDATE deployments SET manifest = '{"serverInfo": {"name": "x"}}'""")  # fmt: skip
        front.box.execute("""UPDATE servers SET config = '{"listed": true}'""")
    front.add("zwei.acme.com", "web")

    def card(host: str, path: str) -> Any:
        status, _, text = front.ask(host, path, method="GET")
        return json.loads(text) if status == 200 else status

    wait_until(lambda: card("mcp.acme.com", "/mcp/server-card") != 404, "it is listed")
    at_name = card("zwei.acme.com", "/mcp/server-card")
    at_box = card("hub.test", "/servers/web/mcp/server-card")
    one = card("other.acme.com", "/.well-known/mcp.json")

    assert at_name["remotes"][0]["url"] == "https://mcp.acme.com/mcp"
    assert at_box["remotes"][0]["url"] == "https://mcp.acme.com/mcp"
    assert one["serverInfo"]["name"] == "other", "there is no other server here"
    assert card("mcp.acme.com", "/servers/other/mcp/server-card") == 404


@pytest.fixture
async def signing(
    database: Database,
    tmp_path: Path,
    make_box: Callable[..., Box],
    web_server: str,
) -> AsyncIterator[tuple[Client, Front]]:
    """A hub, a client that registered itself there, and a gateway with names for ada's servers."""
    async with hub(
        database,
        data_dir=tmp_path / "data",
        proxy_enabled=True,
        gateway_public_url="https://hub.test",
        base_domain=BASE,
    ) as running:
        await running.sign_in()
        issuer = str(running.client.make_url("")).rstrip("/")

        def start() -> Front:
            box = make_box(
                public_url=issuer, gateway_public_url="https://hub.test", **SETTINGS
            )
            front = filled(box, web_server)
            front.box.execute(
                "UPDATE servers SET owner_id = (SELECT id FROM users WHERE email = 'ada@example.org')"
            )
            return front

        front = await asyncio.to_thread(start)
        yield await register(running), front


async def test_a_token_for_a_name_opens_that_name_and_nothing_else(
    signing: tuple[Client, Front],
) -> None:
    client, front = signing
    ask = asyncio.to_thread
    metadata = "/.well-known/oauth-protected-resource"

    def read(path: str) -> tuple[int, dict[str, str], str]:
        return front.ask("mcp.acme.com", path, method="GET")

    status, headers, _ = await ask(front.ask, "mcp.acme.com")
    _, _, text = await ask(read, f"{metadata}/mcp")
    root = await ask(read, metadata)
    foreign = (await ask(read, f"{metadata}/servers/other/mcp"))[0]
    server = await ask(read, "/.well-known/oauth-authorization-server/mcp")
    document = json.loads(text)

    assert status == 401
    assert (
        f'resource_metadata="https://mcp.acme.com{metadata}/mcp"'
        in headers["WWW-Authenticate"]
    )
    assert document["resource"] == "https://mcp.acme.com/mcp"
    assert json.loads(root[2]) == document
    assert json.loads(server[2])["issuer"] == document["authorization_servers"][0]
    assert foreign == 404

    token = (await client.tokens(resource=document["resource"]))["access_token"]

    def opens() -> None:
        front.settled("mcp.acme.com", 200, key=token)

    await ask(opens)
    refused = {
        host: await ask(front.status, host, path, key=token)
        for host, path in (
            ("other.acme.com", "/mcp"),
            ("x.wild.acme.com", "/mcp"),
            ("mcp.acme.com:8443", "/mcp"),
            (f"web.{BASE}", "/mcp"),
            ("hub.test", "/servers/web/mcp"),
        )
    }
    assert set(refused.values()) == {401}, refused

    for resource, host in (
        (f"https://web.{BASE}/mcp", f"web.{BASE}"),
        ("https://x.wild.acme.com/mcp", "x.wild.acme.com"),
    ):
        other = (await client.tokens(resource=resource))["access_token"]
        assert await ask(front.status, host, key=other) == 200

    for resource in (
        "https://unknown.acme.com/mcp", "http://mcp.acme.com/mcp", "https://mcp.acme.com/mcp/more", "https://hub.test/mcp",
        f"https://none.{BASE}/mcp",
    ):  # fmt: skip
        answer = await client.authorize(resource=resource)
        assert "error=invalid_target" in answer.headers.get("Location", ""), resource
