"""mcpctl services, against a hub over HTTP."""

from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import EMAIL, Terminal

PASSWORD = "a-canary-of-a-password"


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator, who has a server."""
    terminal = Terminal(hub, tmp_path / "home")
    terminal.show_key(await hub.person(EMAIL))
    await terminal.run("servers", "create", "desk", "--image", "example.org/desk:1")
    return terminal


async def test_a_service_is_added_changed_and_removed_and_its_secrets_come_by_a_pipe(
    mine: Terminal,
) -> None:
    where = ("--url", "postgresql://app@db.example.org/main", "--prefix", "DB_")
    added = await mine.run(
        "services", "add", "desk", "postgres", *where, "--secrets-stdin", stdin=f"{PASSWORD}\n"
    )  # fmt: skip
    seen = await mine.run(
        "services", "add", "desk", "redis", "--url", f"redis://:{PASSWORD}@h/0"
    )
    changed = await mine.run(
        "services", "update", "desk", "postgres", "--host", "other", "--json"
    )
    listed = await mine.run("services", "list", "desk")
    gone = await mine.run("services", "remove", "desk", "postgres")
    empty = await mine.run("services", "list", "desk")

    assert added.code == 0, added.err
    assert "DB_DATABASE_URL" in added.out
    assert seen.code != 0
    assert "standard input" in seen.err + seen.out or "secrets-stdin" in seen.err
    assert changed.json()["variables"]["DB_PGHOST"] == "other"
    assert changed.json()["settings"]["database"] == "main"
    assert "DB_PGPASSWORD" in listed.out
    assert gone.code == 0
    assert "No services" in empty.out
    assert PASSWORD not in added.out + changed.out + listed.out


async def test_a_test_says_what_answered_and_its_exit_code_too(mine: Terminal) -> None:
    where = ("--name", "far", "--host", "no-such-host.invalid", "--port", "9")
    added = await mine.run(
        "services", "add", "desk", "custom", *where, "--secrets-stdin", stdin=f"A={PASSWORD}\n"
    )  # fmt: skip

    tested = await mine.run("services", "test", "desk", "far")
    unknown = await mine.run("services", "test", "desk", "near")

    assert added.code == 0, added.err
    assert tested.code == 1
    assert "leads nowhere" in tested.out
    assert unknown.code == 1
    assert "Its services: far" in unknown.err
