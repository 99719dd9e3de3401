"""mcpctl orgs, as people run it."""

from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal


@pytest.fixture
async def owner(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    return found


async def test_people_share_a_server_from_the_command_line(
    hub: Hub, owner: Terminal, tmp_path: Path
) -> None:
    place = tmp_path / "ben"
    place.mkdir()
    ben = Terminal(hub, place)
    ben.show_key(await hub.person("ben@example.org"))

    made = await owner.run("orgs", "create", "data", "--title", "Data team")
    link = await owner.run("orgs", "invite", "data", "deployer", "--note", "Ben")
    listed = await owner.run("orgs", "invitations", "data")
    joined = await ben.run("orgs", "join", link.out.strip())
    hosted = await owner.run(
        "servers", "create", "clock", "--remote", "https://mcp.example.org/mcp"
    )
    moved = await owner.run("servers", "transfer", "clock", "--org", "data")
    seen = await ben.run("servers", "show", "clock")
    refused = await ben.run("servers", "transfer", "clock")
    left = await ben.run("orgs", "leave", "data", "--yes")
    hidden = await ben.run("servers", "show", "clock")
    kept = await owner.run("orgs", "delete", "data", "--yes")

    assert made.code == hosted.code == left.code == seen.code == 0, made.err
    assert "Ben" in listed.out
    assert joined.out == "You are deployer of data.\n"
    assert moved.out == "clock belongs to data.\n"
    assert "mcpctl servers transfer clock --user admin@example.org" in moved.err
    assert refused.code == 1
    assert "deployer may not transfer this server" in refused.err
    assert hidden.code == 1
    assert "data still owns 1 server" in kept.err
