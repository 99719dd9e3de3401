"""mcpctl servers webhook, as people and scripts run it."""

from pathlib import Path

import aiohttp
import pytest

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator who hosts a server."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    made = await found.run(
        "servers", "create", "clock", "--package", "pypi:mcp-server-time"
    )
    assert made.code == 0, made.err
    return found


async def test_a_secret_made_here_opens_the_door_it_names(mine: Terminal) -> None:
    made = await mine.run("servers", "webhook", "secret", "clock", "--json")
    shown = made.json()

    async with (
        aiohttp.ClientSession() as session,
        session.post(
            shown["url"], headers={"X-Webhook-Secret": shown["secret"]}
        ) as response,
    ):
        status = response.status
    listed = await mine.run("servers", "webhook", "show", "clock")

    assert (made.code, status) == (0, 202)
    assert "queued" in listed.out
    assert shown["secret"] not in listed.out


async def test_a_secret_is_replaced_only_when_asked(mine: Terminal) -> None:
    first = await mine.run("servers", "webhook", "secret", "clock")
    refused = await mine.run("servers", "webhook", "secret", "clock", stdin="n\n")
    second = await mine.run("servers", "webhook", "secret", "clock", "--yes")

    assert (first.code, second.code) == (0, 0)
    assert refused.code != 0
    assert first.out.startswith("mcpw_")
    assert second.out.startswith("mcpw_")
    assert first.out != second.out


async def test_removing_shuts_the_door(mine: Terminal) -> None:
    await mine.run("servers", "webhook", "secret", "clock")

    removed = await mine.run("servers", "webhook", "remove", "clock", "--yes")
    shown = await mine.run("servers", "webhook", "show", "clock")

    assert removed.code == 0
    assert "nobody can call" in shown.out
