"""mcpctl governance and promotions, as people run them."""

import json
from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.governing import TIER, digest

WORKFLOW = {
    "name": "release",
    "steps": [{"name": "review", "kind": "approval", "config": {"allow_self": True}}],
}


@pytest.fixture
async def terminal(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    return found


async def test_a_version_goes_its_way_from_a_terminal(
    terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "release.json"
    file.write_text(json.dumps(WORKFLOW))
    made = await terminal.run("governance", "create", str(file))
    copied = await terminal.run("governance", "export", "release")
    track = await terminal.run("promotions", "create-track", "main", "canary", "wide", "--workflow", "release")  # fmt: skip
    sent = await terminal.run("promotions", "schedule", "main", "canary", digest(1), "--tier", TIER, "--json")  # fmt: skip
    inbox = await terminal.run("governance", "inbox")
    run = str(sent.json()["governance_run_id"])
    shown = await terminal.run("governance", "show", run)
    approved = await terminal.run("promotions", "approve", "1", "--comment", "Go.")
    waited = await terminal.run("governance", "show", run, "--wait", "--output", "json")
    active = await terminal.run("promotions", "show", "1", "--wait", "--json")
    board = await terminal.run("promotions", "board", "main")
    back = await terminal.run("promotions", "rollback", "1", "--reason", "It leaks.")
    history = await terminal.run("promotions", "history", "--track", "main")

    assert made.out.splitlines()[-1].startswith("mcpg_")
    assert copied.json()["steps"][0]["name"] == "review"
    assert track.code == 0, track.err
    assert "to canary of main" in inbox.out
    assert "review" in shown.out
    assert approved.code == 0, approved.err
    assert waited.json()["status"] == "completed"
    assert active.json()["status"] == "active"
    assert "canary" in board.out
    assert "It leaks." in back.out
    assert "rolled_back" in history.out


async def test_waiting_for_what_is_rejected_fails_and_says_why(
    terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "release.json"
    file.write_text(json.dumps(WORKFLOW))
    await terminal.run("governance", "create", str(file))
    await terminal.run("governance", "start", "release", "--digest", digest(1), "--tier", TIER)  # fmt: skip
    await terminal.run("governance", "reject", "1", "--comment", "Not today.")

    waited = await terminal.run("governance", "show", "1", "--wait")
    skipped = await terminal.run("governance", "set-status", "1", "completed")

    assert waited.code == 1
    assert "Not today." in waited.err
    assert skipped.code != 0
    assert "rejected already" in skipped.err
