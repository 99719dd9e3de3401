"""mcpctl bundles, as people run it."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal

Client = TestClient[Any, Any]


@pytest.fixture
async def terminal(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator who hosts ``clock`` and ``my-files``."""
    key = await hub.person("admin@example.org")
    client = await hub.client(key)
    for name in ("clock", "my-files"):
        await client.post("/api/servers", json={"name": name, "package": "pypi:x"})
    found = Terminal(hub, tmp_path)
    found.show_key(key)
    return found


async def test_a_bundle_is_made_filled_changed_and_deleted(terminal: Terminal) -> None:
    made = await terminal.run("bundles", "create", "all", "--server", "clock=c")
    added = await terminal.run(
        "bundles", "add", "all", "my-files", "--tool", "read",
        "--rename", "read=open", "--describe", "read=Opens a file.", "--json",
    )  # fmt: skip
    changed = await terminal.run("bundles", "change", "all", "--separator", ".")
    removed = await terminal.run("bundles", "remove", "all", "clock")
    shown = await terminal.run("bundles", "show", "all", "--json")
    gone = await terminal.run("bundles", "delete", "all", "--yes")
    listed = await terminal.run("bundles", "list")

    assert made.code == 0, made.err
    assert made.out.splitlines()[-1].startswith("mcpb_")
    override = {"read": {"name": "open", "description": "Opens a file."}}
    assert added.json()["members"][1]["overrides"] == override
    assert changed.code == removed.code == gone.code == 0
    assert shown.json()["separator"] == "."
    assert [item["server"] for item in shown.json()["members"]] == ["my-files"]
    assert "No bundles" in listed.out


async def test_a_collision_is_told_with_exit_code_and_names(terminal: Terminal) -> None:
    done = await terminal.run(
        "bundles", "create", "all", "--server", "clock=x", "--server", "my-files=x"
    )

    assert done.code != 0
    assert "clock (x) and my-files (x)" in done.err


async def test_a_new_key_and_a_snippet_are_printed(terminal: Terminal) -> None:
    await terminal.run("bundles", "create", "all")

    key = await terminal.run("bundles", "key", "all", "--yes")
    snippet = await terminal.run("bundles", "connect", "all", "--key", "K123")
    tools = await terminal.run("bundles", "tools", "all")

    assert key.out.startswith("mcpb_")
    assert "/bundles/all/mcp" in snippet.out
    assert "K123" in snippet.out
    assert "No tools" in tools.out


async def test_a_call_that_fails_says_why(terminal: Terminal) -> None:
    await terminal.run("bundles", "create", "all")

    done = await terminal.run("bundles", "call", "all", "clock__now")

    assert done.code != 0
    assert "gateway" in done.err  # none runs in this test
