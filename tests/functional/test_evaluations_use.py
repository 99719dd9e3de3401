"""Evaluations as people use them: over mcpctl, and on the pages."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.infra.database import Database
from tests.fakes.runs import finished
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness import pages

TEST = {
    "name": "utc",
    "tool": "now",
    "arguments": {"zone": "UTC"},
    "expectation": {"kind": "regex", "pattern": "UTC"},
}


@pytest.fixture
async def terminal(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator with one server elsewhere."""
    found = Terminal(hub, tmp_path)
    key = await hub.person("admin@example.org")
    found.show_key(key)
    body = {"name": "far", "remote_url": "https://mcp.example.org/mcp"}
    assert (await (await hub.client(key)).post("/api/servers", json=body)).ok
    return found


async def test_mcpctl_writes_tests_and_suites_and_certifies(
    terminal: Terminal, tmp_path: Path
) -> None:
    def file(name: str, value: object) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return str(path)

    made = await terminal.run("evaluations", "add-test", "far", file("t", TEST), "--json")  # fmt: skip
    suite = {"name": "smoke", "tests": [made.json()["id"]], "schedule": {"every_s": 3600}}  # fmt: skip
    added = await terminal.run("evaluations", "add-suite", "far", file("s", suite))
    listed = await terminal.run("evaluations", "suites", "far", "--output", "json")
    vibes = file("w", {**TEST, "expectation": {"kind": "vibes"}})
    wrong = await terminal.run("evaluations", "add-test", "far", vibes)
    nothing = await terminal.run("evaluations", "run", "far", "smoke")
    report = file("report.json", {"found": "nothing"})
    certified = await terminal.run(
        *("evaluations", "certify", "--server", "far", "--requirement", "review"),
        *("--status", "pass", "--valid-until", "2031-01-01T00:00:00Z"),
        *("--evidence", report, "--file", report, "--json"),
    )
    again = await terminal.run("evaluations", "retry", str(certified.json()["id"]))
    board = await terminal.run("evaluations", "scoreboard")

    assert added.code == 0, added.err
    assert listed.json()["items"][0]["next_run_at"]
    assert (wrong.code, "expectation.kind" in wrong.err) == (1, True)
    assert (nothing.code, "far" in nothing.err) == (1, True), nothing.err
    assert certified.json()["files"][0]["name"] == "report.json"
    assert certified.json()["evidence"] == {"found": "nothing"}
    assert "pending" in again.out
    assert "far" in board.out


@pytest.fixture
async def site(database: Database) -> AsyncIterator[pages.Hub]:
    async with pages.hub(database) as running:
        yield running


async def test_the_pages_take_a_test_and_a_suite_and_say_what_is_wrong(
    site: pages.Hub,
) -> None:
    await site.host(await site.sign_in(), "clock")
    base = "/servers/clock/evaluations"
    form = {"name": "utc", "tool": "now", "arguments": '{"zone": "UTC"}'}

    empty = await site.page(base)
    wrong = await site.post(f"{base}/test", **form, expectation='{"kind": "exact"}')
    good = await site.post(
        f"{base}/test", **form, expectation='{"kind": "regex", "pattern": "<b>"}'
    )
    made = await site.post(f"{base}/suite", name="smoke", tests="utc", cron="0 3 * * *")
    shown = await site.page(base)
    board = await site.page("/evaluations")
    run = await site.database.run(site.services.ledger.record, finished())
    refused = await site.post(
        f"/marketplace/{run}/certify",
        policy_requirement="Not A Word",
        status="pass",
        note="typed",
    )
    certified = await site.post(
        f"/marketplace/{run}/certify",
        policy_requirement="review",
        status="pass",
        note="<i>fine</i>",
    )
    artifact = await site.page(f"/marketplace/{run}")

    assert "A test calls one tool" in empty
    assert wrong.status == 422
    assert "expectation.value: is required" in await wrong.text()
    assert "{&#34;zone&#34;: &#34;UTC&#34;}" in await wrong.text()
    assert (good.status, made.status) == (303, 303)
    assert "smoke" in shown
    assert "utc" in shown
    assert "clock" in board
    assert refused.status == 422
    assert "typed</textarea>" in await refused.text()
    assert certified.status == 303
    assert "&lt;i&gt;fine&lt;/i&gt;" in artifact
    assert "Active" in artifact
