"""mcpctl marketplace and artifacts, as people run them."""

from pathlib import Path

import pytest

from appliance.builds.model import BuildState
from tests.fakes.runs import AMD, digest, finished, images
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal


@pytest.fixture
async def terminal(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator on a box where three builds ended."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    for run in (
        finished(1, server_name="clock"),
        finished(2, server_name="half", images=images(AMD), published=None),
        finished(3, server_name="bad", status=BuildState.FAILED, error="npm ended."),
    ):
        await hub.database.run(hub.services.ledger.record, run)
    return found


async def test_what_was_built_is_listed_and_narrowed(terminal: Terminal) -> None:
    listed = await terminal.run("marketplace", "list")
    narrowed = await terminal.run("marketplace", "list", "--tier", "gold", "--json")
    none = await terminal.run("marketplace", "list", "-q", "nothing of the kind")
    wrong = await terminal.run("marketplace", "list", "--tier", "platinum")

    assert listed.code == 0, listed.err
    assert [line.split()[1] for line in listed.out.splitlines()[1:]] == [
        "bad",
        "half",
        "clock",
    ]
    assert "amd64, arm64" in listed.out
    assert [item["server_name"] for item in narrowed.json()["items"]] == ["clock"]
    assert "Nothing was built that matches" in none.out
    assert wrong.code == 1
    assert "begin with gold" in wrong.err


async def test_a_build_is_shown_in_full(terminal: Terminal) -> None:
    shown = await terminal.run("artifacts", "show", "2")
    missing = await terminal.run("artifacts", "show", "99")
    listed = await terminal.run("artifacts", "list", "--server-id", "3", "--json")

    for part in ("silver:pypi", "pypi:mcp-server-time==1.2.3", digest(1), AMD):
        assert part in shown.out
    assert missing.code == 1
    assert [item["id"] for item in listed.json()["items"]] == [3]


async def test_the_ledger_is_checked_and_a_change_ends_in_1(
    hub: Hub, terminal: Terminal
) -> None:
    whole = await terminal.run("artifacts", "verify-chain")
    known = whole.out.split()[-1]
    again = await terminal.run("artifacts", "verify-chain", "--known", known)

    def tamper() -> None:
        hub.database.peewee.execute_sql("SET LOCAL session_replication_role = replica")
        hub.database.peewee.execute_sql(
            "UPDATE build_artifact_runs SET source_revision = 'evil' WHERE id = 2"
        )

    await hub.database.run(tamper)
    broken = await terminal.run("artifacts", "verify-chain")
    as_json = await terminal.run("artifacts", "verify-chain", "--json")

    assert (whole.code, again.code) == (0, 0), whole.err + again.err
    assert "All 3 rows are as they were written." in whole.out
    assert broken.code == as_json.code == 1
    assert "Run 2 or one of its platforms is not what was written." in broken.out
    assert as_json.json()["breaks"][0]["run_id"] == 2


async def test_a_server_is_hosted_from_a_build(terminal: Terminal) -> None:
    made = await terminal.run("artifacts", "deploy", "1", "--name", "mine")
    taken = await terminal.run("artifacts", "deploy", "1", "--name", "mine")
    shown = await terminal.run("servers", "show", "mine", "--json")

    assert made.code == 0, made.err
    assert made.out.splitlines()[-1].startswith("mcps_")
    assert taken.code == 1
    assert shown.json()["source"]["package"] == "pypi:mcp-server-time==1.2.3"


async def test_published_servers_are_listed_with_what_they_need(
    terminal: Terminal,
) -> None:
    found = await terminal.run("marketplace", "catalog", "-q", "notion")

    assert "npm:@notionhq/notion-mcp-server" in found.out
    assert "NOTION_TOKEN" in found.out
