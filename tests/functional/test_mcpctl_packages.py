"""mcpctl about packages: as of a day, locks, and settings that are missing."""

from pathlib import Path

import pytest

from appliance.infra.database import Database
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.functional.test_pages_packages import (
    LOCK,
    build_with_lock,
    fail_for_want_of,
)

CREATE = ("servers", "create", "time", "--package", "pypi:mcp-server-time")


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("admin@example.org"))
    return terminal


async def test_a_package_is_hosted_as_of_a_day(mine: Terminal) -> None:
    made = await mine.run(*CREATE, "--as-of", "2025-05-01", "--json")

    assert made.json()["server"]["source"]["as_of"] == "2025-05-01"


async def test_a_lock_is_printed_as_it_is(mine: Terminal, database: Database) -> None:
    await mine.run(*CREATE)
    await database.run(build_with_lock, "time", as_of="2025-04-26")

    assert (await mine.run("servers", "lock", "time")).out == LOCK.text
    assert "2025-04-26" in (await mine.run("servers", "show", "time")).out


async def test_a_redeploy_is_asked_for_as_of_a_day(mine: Terminal) -> None:
    await mine.run(*CREATE)

    done = await mine.run(
        "servers", "redeploy", "time", "--as-of", "2026-01-31", "--json"
    )

    assert done.json()["deployment"]["source"]["as_of"] == "2026-01-31"


async def test_a_missing_setting_is_shown_and_given(
    mine: Terminal, database: Database
) -> None:
    await mine.run(*CREATE)
    await database.run(fail_for_want_of, "time", "A_PLACE")

    shown = await mine.run("servers", "show", "time")
    given = await mine.run("servers", "set", "time", "A_PLACE=x=y", "--json")
    wrong = await mine.run("servers", "set", "time", "A_PLACE")

    assert "A_PLACE" in shown.out
    assert given.json()["config"]["environment"] == {"A_PLACE": "x=y"}
    assert wrong.code == 2
    assert "is not NAME=VALUE" in wrong.err
