"""mcpctl servers isolation, as people and scripts run it."""

from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    return found


async def test_a_server_is_made_with_limits_and_changed_one_at_a_time(
    mine: Terminal,
) -> None:
    made = await mine.run(
        *("servers", "create", "clock", "--package", "pypi:mcp-server-time"),
        *("--pids", "99", "--data", "2g"),
    )
    changed = await mine.run(
        *("servers", "isolation", "set", "clock", "--files", "1000"),
        *("--relax", "writable-root", "--json"),
    )
    shown = await mine.run("servers", "isolation", "show", "clock")

    assert (made.code, changed.code, shown.code) == (0, 0, 0), made.err + changed.err
    effective = changed.json()["effective"]
    assert (effective["pids"], effective["files"]) == (99, 1000)
    assert effective["data_bytes"] == 2 * 1024**3
    assert "! writable-root:" in shown.out

    strict = await mine.run("servers", "isolation", "set", "clock", "--strict")
    assert "writable-root" not in strict.out


async def test_what_the_box_cannot_give_is_said_with_the_next_step(
    mine: Terminal,
) -> None:
    made = await mine.run(
        *("servers", "create", "clock", "--package", "pypi:mcp-server-time"),
        *("--tier", "sandboxed"),
    )

    assert made.code != 0
    assert "runsc" in made.err
