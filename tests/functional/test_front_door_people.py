"""The front door as administrators see it: over REST, on the page, in a terminal, in /readyz."""

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from appliance.accounts.model import Role
from appliance.bootstrap import front_door_check
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.proxy import store
from appliance.proxy.model import DoorState, NginxState, Quarantined
from appliance.proxy.service import FrontDoorService
from appliance.web.health import DegradedError
from tests.functional.hub import settings_for
from tests.functional.test_mcpctl import Terminal
from tests.functional.test_registry_people import running
from tests.harness.pages import hub

LEFT_OUT = Quarantined("wildcard", "*.bad.example.com", "It holds <nothing>.")


def seen(**values: object) -> DoorState:
    state = DoorState(
        seen_at=now(),
        nginx=NginxState.RUNNING,
        version="1.22.1",
        generation="0123456789abcdef",
        reloaded_at=None,
        reload_s=None,
        problem="",
        certificates=12,
    )
    return replace(state, **values)  # type: ignore[arg-type]  # one field each


async def test_without_a_front_door_everything_says_so(database: Database) -> None:
    async with hub(database) as site:
        await site.sign_in()
        text = await site.page("/settings/front-door")
        refused = await site.post("/settings/front-door/reload")

    assert "This box has no front door of its own" in text
    assert "PROXY_ENABLED=true" in text
    assert refused.status == 409


async def test_what_is_left_out_is_shown_everywhere_with_its_reason(
    database: Database, tmp_path: Path
) -> None:
    await database.run(store.put, seen(quarantined=(LEFT_OUT,)))
    async with hub(database, proxy_enabled=True) as site:
        await site.sign_in()
        text = await site.page("/settings/front-door")
    settings = await asyncio.to_thread(settings_for, proxy_enabled=True)
    async with running(database, settings) as served:
        terminal = Terminal(served, tmp_path)
        terminal.show_key(await served.person("root@example.org", Role.ADMIN))
        found = json.loads((await terminal.run("front-door", "status", "--json")).out)
        told = (await terminal.run("front-door", "status")).out

    assert "*.bad.example.com" in text
    assert "It holds &lt;nothing&gt;." in text
    assert found["status"] == "degraded"
    assert found["quarantined"] == [asdict(LEFT_OUT)]
    assert "*.bad.example.com" in told
    assert "12 beside the box's own" in told


async def test_a_reload_is_asked_for_once_and_is_in_the_trail(
    database: Database,
) -> None:
    async with hub(database, proxy_enabled=True) as site:
        await site.sign_in()
        early = await site.post("/settings/front-door/reload")
        await database.run(store.put, seen())
        answer = await site.post("/settings/front-door/reload")
        asked = await database.run(store.get)
        await database.run(store.put, seen())
        kept = await database.run(store.get)
        await database.run(store.answered, now())
        done = await database.run(store.get)
        trail = await site.page("/activity/audit")

    assert early.status == 409
    assert answer.status == 303
    assert asked is not None
    assert kept is not None
    assert done is not None
    assert asked.reload_asked_at == kept.reload_asked_at is not None
    assert done.reload_asked_at is None
    assert "front_door.reload" in trail


async def test_readyz_says_how_it_is_and_what_to_do(database: Database) -> None:
    settings = await asyncio.to_thread(settings_for, proxy_enabled=True)
    check = front_door_check(FrontDoorService(database, settings))

    with pytest.raises(DegradedError, match=r"not told anything yet.*mcp-host status"):
        await check()
    await database.run(store.put, seen())

    assert await check() == "Nginx 1.22.1 serves 12 names beside the box's own."
