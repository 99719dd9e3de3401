"""mcpctl with archives, private repositories and registry entries."""

import json
from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_api_sources import ENTRY, KEY, packed
from tests.functional.test_mcpctl import EMAIL, Terminal

TOKEN = "a-canary-of-a-token"


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    terminal = Terminal(hub, tmp_path / "home")
    terminal.show_key(await hub.person(EMAIL))
    return terminal


async def test_an_archive_is_uploaded_and_replaced(
    mine: Terminal, tmp_path: Path
) -> None:
    file, broken = tmp_path / "weather-1.0.tar.gz", tmp_path / "broken.zip"
    file.write_bytes(packed())
    broken.write_bytes(b"no archive")

    made = await mine.run("servers", "create", "--archive", str(file), "--json")
    refused = await mine.run("servers", "archive", "weather", str(broken))
    file.write_bytes(packed("print(2)"))
    again = await mine.run("servers", "archive", "weather", str(file), "--json")

    source = made.json()["server"]["source"]
    assert source["archive_name"] == "weather-1.0.tar.gz"
    assert refused.code != 0
    assert "neither a tar.gz nor a zip" in refused.err
    assert again.json()["source"]["archive"] != source["archive"]


async def test_secrets_come_by_files_and_are_shown_to_nobody(
    mine: Terminal, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    repository = ("--git", "git@git.example.org:o/r.git", "--submodules")

    made = await mine.run(
        "servers", "create", "g", *repository, "--deploy-key", str(key), "--json"
    )
    shown = await mine.run("servers", "credential", "g")
    removed = await mine.run("servers", "credential", "g", "--remove")
    wrong = await mine.run(
        "servers", "credential", "g", "--git-token-file", "-", stdin=f"{TOKEN}\n"
    )

    assert made.json()["server"]["source"]["submodules"] is True
    assert "ssh-ed25519" in shown.out
    assert "no credential" in removed.out
    assert wrong.code != 0
    assert "https" in wrong.err
    assert TOKEN not in wrong.err + wrong.out


async def test_an_entry_is_shown_and_hosted(mine: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "server.json"
    file.write_text(json.dumps(ENTRY))

    shown = await mine.run("servers", "server-json", str(file))
    lacking = await mine.run("servers", "create", "--server-json", str(file))
    made = await mine.run(
        "servers", "create", "w", "--server-json", str(file), "--env", "WEATHER_KEY=k", "--json",
    )  # fmt: skip

    assert "npm:@example/weather 1.2.3" in shown.out
    assert "WEATHER_KEY" in shown.out
    assert "inputs.WEATHER_KEY" in lacking.err
    assert made.json()["server"]["source"]["package"] == "npm:@example/weather@1.2.3"
