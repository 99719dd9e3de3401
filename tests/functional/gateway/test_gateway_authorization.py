"""The two halves together: the hub's authorization server gives out tokens, and the gateway takes them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.infra.database import Database
from tests.fakes.mcp_box import Box, tool_call, wait_until
from tests.harness.oauth import Client, register
from tests.harness.pages import Hub, hub

#: What both were told; nobody has to resolve it.
GATEWAY = "http://gateway.test"
WEB = f"{GATEWAY}/servers/web/mcp"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
async def running(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub, with ada signed in."""
    async with hub(
        database, data_dir=tmp_path / "data", gateway_public_url=GATEWAY
    ) as found:
        await found.sign_in()
        yield found


@pytest.fixture
async def client(
    running: Hub, make_box: Callable[..., Box], web_server: str
) -> tuple[Client, Box]:
    """A client that registered itself, and a gateway before ada's server called ``web``."""
    issuer = str(running.client.make_url("")).rstrip("/")

    def start() -> Box:
        box = make_box(public_url=issuer, gateway_public_url=GATEWAY, gw_workers=1)
        box.host_http("web", f"{web_server}/mcp")
        box.execute(
            "UPDATE servers SET owner_id = (SELECT id FROM users WHERE email = 'ada@example.org')"
        )
        return box

    box = await asyncio.to_thread(start)
    return await register(running), box


def answered(box: Box, message: Any, token: str) -> int:
    headers = {"Host": "gateway.test"}
    return box.post("web", message, key=token, headers=headers)[0]


async def test_what_ada_allows_opens_her_server_until_she_takes_it_back(
    client: tuple[Client, Box],
) -> None:
    asking, box = client
    given = await asking.tokens(resource=WEB)
    token = given["access_token"]

    def opens() -> None:
        wait_until(
            lambda: answered(box, tool_call("headers"), token) == 200, "it opens"
        )

    await asyncio.to_thread(opens)

    status, fresh = await asking.refresh(given["refresh_token"], resource=WEB)
    assert status == 200, fresh
    again = await asyncio.to_thread(
        answered, box, tool_call("headers"), fresh["access_token"]
    )
    assert again == 200

    form = {"client_id": asking.client_id, "token": fresh["refresh_token"]}
    revoked = await asking.hub.client.post("/oauth/revoke", data=form)
    assert revoked.status == 200

    def is_shut() -> None:
        wait_until(lambda: answered(box, LIST, token) == 401, "it is shut", within_s=2)

    await asyncio.to_thread(is_shut)
    assert await asyncio.to_thread(answered, box, LIST, fresh["access_token"]) == 401


async def test_what_ada_allows_in_part_is_narrow(client: tuple[Client, Box]) -> None:
    asking, box = client
    given = await asking.tokens(resource=WEB, scope="mcp:read")
    token = given["access_token"]

    def opens() -> None:
        wait_until(lambda: answered(box, LIST, token) == 200, "it opens")

    await asyncio.to_thread(opens)
    called = await asyncio.to_thread(answered, box, tool_call("headers"), token)

    assert called == 403
