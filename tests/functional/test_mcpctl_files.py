"""mcpctl files, against a hub over HTTP."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from appliance.servers import store
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import EMAIL, Terminal


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator, who has a server that was built."""
    terminal = Terminal(hub, tmp_path / "home")
    terminal.show_key(await hub.person(EMAIL))
    await terminal.run("servers", "create", "desk", "--image", "example.org/desk:1")

    def built() -> None:
        server = store.find("desk")
        assert server
        newest = store.deployments(server.id)[0]
        store.set_built(newest.id, image="example.org/desk:1", resolved={})

    await hub.database.run(built)
    return terminal


async def test_files_are_brought_listed_moved_fetched_and_removed(
    mine: Terminal, tmp_path: Path
) -> None:
    source, target = tmp_path / "a file.bin", tmp_path / "back"
    content = os.urandom(1_000_000)
    source.write_bytes(content)

    put = await mine.run("files", "put", "desk", str(source), "--to", "in", "--json")
    again = await mine.run("files", "put", "desk", str(source), "--to", "in")
    await mine.run("files", "mkdir", "desk", "in/deep")
    moved = await mine.run("files", "mv", "desk", "in/a file.bin", "in/deep/b")
    listed = await mine.run("files", "ls", "desk", "in/deep")
    got = await mine.run("files", "get", "desk", "in/deep/b", "-o", str(target))
    kept = await mine.run("files", "get", "desk", "in/deep/b", "-o", str(target))
    full = await mine.run("files", "rm", "desk", "in")
    gone = await mine.run("files", "rm", "-r", "desk", "in")
    empty = await mine.run("files", "ls", "desk")

    assert put.json()["items"][0]["path"] == "in/a file.bin", put.err
    assert again.code != 0
    assert "already" in again.err
    assert (moved.code, got.code, gone.code) == (0, 0, 0), moved.err + got.err
    assert listed.out.splitlines()[1].split()[:3] == ["b", "976.6", "KiB"]
    assert "used" in listed.err
    assert target.read_bytes() == content
    assert kept.code != 0
    assert full.code != 0
    assert "not empty" in full.err
    assert "Nothing is here" in empty.out


async def test_a_download_goes_on_where_it_broke_off_if_the_file_is_the_same(
    mine: Terminal, tmp_path: Path, hub: Hub
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    part, note = tmp_path / "target.part", tmp_path / "target.part.json"
    source.write_bytes(b"0123456789" * 1000)
    stored = await mine.run("files", "put", "desk", str(source), "--json")
    etag = stored.json()["items"][0]["etag"]
    part.write_bytes(source.read_bytes()[:4000])
    note.write_text(json.dumps({"etag": etag}))

    rest = await mine.run("files", "get", "desk", "source", "-o", str(target))
    whole = target.read_bytes()
    (root,) = await asyncio.to_thread(
        lambda: list((hub.services.settings.data_dir / "volumes").iterdir())
    )
    (root / "source").write_bytes(b"another")
    part.write_bytes(b"01234")
    note.write_text(json.dumps({"etag": etag}))
    other = await mine.run(
        "files", "get", "desk", "source", "-o", str(target), "--overwrite"
    )

    assert (rest.code, other.code) == (0, 0), rest.err + other.err
    assert whole == source.read_bytes()
    assert target.read_bytes() == b"another"
    assert not part.exists()
    assert not note.exists()


async def test_a_download_to_a_pipe_is_the_file_alone(
    mine: Terminal, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_text("plain\ntext\n")
    await mine.run("files", "put", "desk", str(source))

    got = await mine.run("files", "get", "desk", "source", "-o", "-")
    missing = await mine.run("files", "get", "desk", "nothing", "-o", "-")

    assert got.out == "plain\ntext\n"
    assert missing.code != 0
    assert "There is no nothing" in missing.err
