"""Accounts at remote servers over REST, on pages and with mcpctl; the other side is a server of the Python SDK."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.test_utils import TestServer

from appliance.infra.database import Database
from appliance.web.app import make_app
from tests.fakes.mcp_box import ROOT, wait_until
from tests.functional.gateway.conftest import accepts
from tests.functional.hub import Hub, services_for, settings_for
from tests.functional.test_mcpctl import Terminal
from tests.harness.ports import free_port

ACCOUNT = "/api/servers/notes/account"


@pytest.fixture(scope="module")
def remote() -> Iterator[str]:
    """The address of a server that wants to know who calls."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fixtures.signin_server", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(port), "the server listens", within_s=20)
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()


@dataclass
class Desk:
    """A hub with that server, and its owner."""

    hub: Hub
    key: str
    client: Any

    async def json(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.client.request(method, path, **options) as answer:
            return answer.status, await answer.json() if answer.content_length else None

    async def connect(self) -> tuple[int, Any]:
        status, begun = await self.json("POST", f"{ACCOUNT}/connect")
        assert status == 200, begun
        async with httpx.AsyncClient() as browser:
            back = (await browser.get(begun["authorization_url"])).headers["Location"]
        return await self.json(
            "POST", "/api/connections/finish", json={"callback_url": back}
        )


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub to which remote servers on this box are as good as others."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(
            settings_for, data_dir=tmp_path / "data", remote_allow_private=True
        )
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        running = Hub(database, services, server)
        yield running
        await running.close()


@pytest.fixture
async def desk(hub: Hub, remote: str) -> Desk:
    key = await hub.person("admin@example.org")
    found = Desk(hub, key, await hub.client(key))
    body = {"name": "notes", "remote_url": remote, "transport": "streamable-http"}
    status, made = await found.json("POST", "/api/servers", json=body)
    assert status == 201, made
    assert await hub.services.upstreams.recognise(made["server"]["id"], "")
    return found


async def test_an_account_is_connected_listed_and_disconnected(desk: Desk) -> None:
    before = await desk.json("GET", ACCOUNT)
    made = await desk.connect()
    shown = await desk.json("GET", ACCOUNT)
    mine = await desk.json("GET", "/api/connections")
    ended = await desk.json("DELETE", f"/api/connections/{made[1]['id']}")
    again = await desk.json("DELETE", f"/api/connections/{made[1]['id']}")

    assert (before[1]["mode"], before[1]["connection"]) == ("each", None)
    assert (made[0], made[1]["state"], made[1]["scopes"]) == (200, "good", ["notes"])
    assert shown[1]["connection"]["id"] == made[1]["id"]
    assert [item["server"] for item in mine[1]["items"]] == ["notes"]
    assert (ended[0], again[0]) == (204, 404)
    assert "token" not in str(made[1]).lower()


async def test_others_learn_nothing_and_change_nothing(desk: Desk) -> None:
    _, made = await desk.connect()
    other = Desk(desk.hub, "", await desk.hub.client(await desk.hub.person("o@x.org")))

    assert (await other.json("GET", ACCOUNT))[0] == 404
    assert (await other.json("POST", f"{ACCOUNT}/connect"))[0] == 404
    assert (await other.json("PUT", f"{ACCOUNT}/mode", json={"mode": "shared"}))[0] == 404  # fmt: skip
    assert (await other.json("DELETE", f"/api/connections/{made['id']}"))[0] == 404
    assert (await other.json("GET", "/api/connections"))[1] == {"items": []}


async def test_a_server_that_asks_nobody_says_so(desk: Desk, remote: str) -> None:
    await desk.json("POST", "/api/servers", json={"name": "open", "remote_url": remote})

    status, problem = await desk.json("GET", "/api/servers/open/account")

    assert (status, problem["code"]) == (409, "no_signin_needed")


async def test_an_answer_that_nobody_waits_for_is_refused(
    desk: Desk,
) -> None:
    back = "https://hub.example.org/connections/callback"

    unknown = await desk.json(
        "POST",
        "/api/connections/finish",
        json={"callback_url": f"{back}?state=x&code=y"},
    )
    twice = await desk.json(
        "POST",
        "/api/connections/finish",
        json={"callback_url": f"{back}?state=x&state=y"},
    )

    assert (unknown[0], unknown[1]["code"]) == (409, "signin_expired")
    assert (twice[0], twice[1]["errors"][0]["field"]) == (422, "callback_url")


async def test_the_document_says_what_this_box_is_elsewhere(desk: Desk) -> None:
    async with desk.client.get("/client-metadata.json") as answer:
        found = await answer.json()

    assert found["client_id"].endswith("/client-metadata.json")
    assert found["redirect_uris"][0].endswith("/connections/callback")
    assert "refresh_token" in found["grant_types"]


async def test_mcpctl_shows_and_changes_whose_account_counts(
    desk: Desk, tmp_path: Path
) -> None:
    mine = Terminal(desk.hub, tmp_path)
    mine.show_key(desk.key)
    _, made = await desk.connect()

    shown = await mine.run("accounts", "show", "notes")
    begun = await mine.run("accounts", "connect", "notes")
    shared = await mine.run("accounts", "mode", "notes", "shared")
    client = await mine.run("accounts", "client", "notes", "an-id")
    ended = await mine.run("accounts", "disconnect", str(made["id"]))
    after = await desk.json("GET", ACCOUNT)

    codes = [item.code for item in (shown, begun, shared, client, ended)]
    assert codes == [0] * 5
    assert "your own" in shown.out
    assert "/authorize?" in begun.out
    assert (after[1]["mode"], after[1]["client_id"]) == ("shared", "an-id")
