"""mcpctl policy, as people and scripts run it."""

from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_api_policy import SMOKE, decide, host
from tests.functional.test_mcpctl import Terminal


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator, beside a document."""
    (tmp_path / "policy.yaml").write_text(SMOKE)
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    return found


async def test_policy_is_tried_applied_explained_and_taken_back(
    mine: Terminal, hub: Hub, tmp_path: Path
) -> None:
    server_id = await host(hub, await hub.client(mine._environment["MCPCTL_API_KEY"]))
    file = str(tmp_path / "policy.yaml")

    tried = await mine.run("policy", "apply", file, "--dry-run")
    applied = await mine.run("policy", "apply", file, "--note", "Begin.")
    await decide(hub, server_id)
    why = await mine.run("policy", "explain", "clock")
    told = await mine.run("policy", "explain", "clock", "--output", "json")
    shown = await mine.run("policy", "show")
    listed = await mine.run("policy", "decisions", "clock")
    machines = await mine.run("policy", "vm", "clock")
    nothing = await mine.run("policy", "activate", "0")
    after = await mine.run("policy", "explain", "clock", "--wait", "--json")

    assert "hold-evaluation" in tried.out, tried.err
    assert applied.out == "Version 1 is active.\n"
    assert "evaluation:missing:gold:pypi:smoke" in why.out
    assert told.json()["evaluation_required"] is True
    assert "require-certification" in shown.out
    assert "hold-evaluation" in listed.out
    assert "No instance" in machines.out
    assert nothing.out == "No policy is active.\n"
    assert after.json()["verdict"] == "launch"
