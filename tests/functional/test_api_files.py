"""Files of a server over REST."""

import asyncio
import hashlib
import io
import os
import secrets
from base64 import b64encode
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from appliance.servers import store
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
FILES = "/api/servers/desk/files"


def names_in(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


@pytest.fixture
async def desk(hub: Hub, maintainer: Client) -> Path:
    """A server that was built, and the folder that stands for its /data."""
    made = await maintainer.post(
        "/api/servers", json={"name": "desk", "image": "example.org/desk:1"}
    )
    server = (await made.json())["server"]

    def built() -> None:
        newest = store.deployments(server["id"])[0]
        store.set_built(newest.id, image="example.org/desk:1", resolved={})

    await hub.database.run(built)
    root = hub.services.settings.data_dir / "volumes" / str(server["id"])
    await asyncio.to_thread(root.mkdir, parents=True)
    return root


async def test_a_file_is_brought_listed_fetched_and_removed(
    maintainer: Client, desk: Path
) -> None:
    content = secrets.token_bytes(300_000)
    digest = hashlib.sha256(content)

    brought = await maintainer.put(
        f"{FILES}/reports/2026/a%20b.csv",
        data=content,
        headers={
            "Repr-Digest": f"sha-256=:{b64encode(digest.digest()).decode()}:",
            "Content-Type": "application/octet-stream",
        },
    )
    top = await (await maintainer.get(FILES)).json()
    listed = await (await maintainer.get(FILES, params={"path": "reports/2026"})).json()
    fetched = await maintainer.get(listed["items"][0]["href"])
    gone = await maintainer.delete(f"{FILES}/reports", params={"recursive": "true"})

    answer = await brought.json()
    assert brought.status == 201, answer
    assert answer["sha256"] == digest.hexdigest()
    assert answer["path"] == "reports/2026/a b.csv"
    assert [(item["name"], item["kind"]) for item in top["items"]] == [
        ("reports", "folder")
    ]
    assert top["usage"]["used_bytes"] >= 300_000
    assert listed["items"][0]["etag"] == answer["etag"] == fetched.headers["ETag"]
    assert await fetched.read() == content
    assert fetched.headers["Content-Type"] == "application/octet-stream"
    assert "sandbox" in fetched.headers["Content-Security-Policy"]
    assert (await gone.json()) == {"entries": 3}
    assert not (desk / "reports").exists()


async def test_a_part_of_a_file_is_fetched_as_long_as_it_is_the_same_file(
    maintainer: Client, desk: Path
) -> None:
    (desk / "file").write_bytes(b"0123456789")
    address = f"{FILES}/file"

    async def fetch(**headers: str) -> tuple[int, bytes, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await maintainer.get(address, headers=named)
        return (
            answer.status,
            await answer.read(),
            answer.headers.get("Content-Range", ""),
        )

    whole = await maintainer.get(address, headers={"Want-Repr-Digest": "sha-256=1"})
    etag = whole.headers["ETag"]
    head = await maintainer.head(address)
    middle = await fetch(Range="bytes=3-5", If_Range=etag)
    tail = await fetch(Range="bytes=-4")
    changed = await fetch(Range="bytes=3-5", If_Range='"another"')
    beyond = await fetch(Range="bytes=10-")
    known = await fetch(If_None_Match=etag)

    digest = hashlib.sha256(b"0123456789").digest()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{b64encode(digest).decode()}:"
    assert (head.status, head.headers["Content-Length"]) == (200, "10")
    assert middle == (206, b"345", "bytes 3-5/10")
    assert tail == (206, b"6789", "bytes 6-9/10")
    assert changed == (200, b"0123456789", "")
    assert (beyond[0], beyond[2]) == (416, "bytes */10")
    assert known[:2] == (304, b"")


async def test_what_has_a_name_keeps_it_unless_told_otherwise(
    maintainer: Client, desk: Path
) -> None:
    (desk / "file").write_text("first")

    refused = await maintainer.put(f"{FILES}/file", data=b"second")
    kept = (desk / "file").read_text()
    replaced = await maintainer.put(
        f"{FILES}/file", params={"overwrite": "true"}, data=b"third"
    )

    assert (refused.status, (await refused.json())["code"]) == (409, "file_exists")
    assert kept == "first"
    assert replaced.status == 201
    assert (desk / "file").read_text() == "third"


async def test_a_form_brings_a_file_as_a_browser_does(
    maintainer: Client, desk: Path
) -> None:
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("file", io.BytesIO(b"hello"), filename="naïve name.txt")

    brought = await maintainer.post(FILES, params={"path": "in"}, data=data)

    assert brought.status == 201, await brought.text()
    assert (desk / "in" / "naïve name.txt").read_text() == "hello"


async def test_what_is_not_what_was_announced_is_not_stored(
    maintainer: Client, desk: Path
) -> None:
    wrong = await maintainer.put(
        f"{FILES}/file", params={"sha256": "0" * 64}, data=b"hello"
    )
    unreadable = await maintainer.put(
        f"{FILES}/file", params={"sha256": "x"}, data=b"hello"
    )

    problem = await wrong.json()
    assert (wrong.status, problem["code"]) == (422, "file_checksum")
    assert hashlib.sha256(b"hello").hexdigest() in problem["errors"][0]["message"]
    assert unreadable.status == 422
    assert names_in(desk) == []


async def test_a_path_that_leads_elsewhere_is_refused(
    maintainer: Client, desk: Path
) -> None:
    tricks = ["..%2F..%2Fetc%2Fpasswd", "%2e%2e/x", "a/%2e/b", "%2Fetc/passwd", "a//b"]

    for path in [*tricks, "x" * 300]:
        url = URL(f"{FILES}/{path}", encoded=True)
        fetched = await maintainer.get(url)
        brought = await maintainer.put(url, data=b"x")
        assert (fetched.status, brought.status) == (422, 422), path

    assert names_in(desk) == []


async def test_a_name_that_is_no_text_is_fetched_by_its_address(
    maintainer: Client, desk: Path
) -> None:
    (desk / os.fsdecode(b"caf\xe9")).write_text("latin")

    (item,) = (await (await maintainer.get(FILES)).json())["items"]
    fetched = await maintainer.get(URL(item["href"], encoded=True))
    gone = await maintainer.delete(URL(item["href"], encoded=True))

    assert item["name"] == "caf�"
    assert await fetched.read() == b"latin"
    assert gone.status == 200


async def test_more_than_there_is_room_for_is_refused_before_it_comes(
    maintainer: Client, desk: Path
) -> None:
    (desk / "old").write_bytes(bytes((4096 - 128) * 1024))

    refused = await maintainer.put(f"{FILES}/new", data=bytes(200 * 1024))

    problem = await refused.json()
    assert (refused.status, problem["code"]) == (409, "files_full")
    assert "128 KiB more" in problem["detail"]
    assert not (desk / "new").exists()


async def test_a_folder_is_made_and_a_file_moved_into_it(
    maintainer: Client, desk: Path
) -> None:
    (desk / "file").write_text("x")

    made = await maintainer.post("/api/servers/desk/folders", json={"path": "a/b"})
    again = await maintainer.post("/api/servers/desk/folders", json={"path": "a/b"})
    moved = await maintainer.post(f"{FILES}/file", json={"to": "a/b/renamed"})
    full = await maintainer.delete(f"{FILES}/a")

    assert (made.status, again.status) == (201, 409)
    assert (await moved.json())["path"] == "a/b/renamed"
    assert (full.status, (await full.json())["code"]) == (409, "folder_not_empty")
    assert (desk / "a" / "b" / "renamed").read_text() == "x"


async def test_readers_look_and_change_nothing(
    hub: Hub, admin: Client, desk: Path
) -> None:
    (desk / "file").write_text("x")
    other = await hub.client(await hub.person("other@example.org"))

    seen = await admin.get(f"{FILES}/file")
    hidden = await other.get(FILES)
    written = await other.put(f"{FILES}/new", data=b"x")

    assert seen.status == 200
    assert (hidden.status, written.status) == (404, 404)


@pytest.mark.usefixtures("desk")
async def test_every_write_is_in_the_trail(maintainer: Client, admin: Client) -> None:
    await maintainer.put(f"{FILES}/file", data=b"hello")
    await maintainer.post(f"{FILES}/file", json={"to": "renamed"})
    await maintainer.delete(f"{FILES}/renamed")

    trail = await (await admin.get("/api/audit", params={"limit": 3})).json()

    shown = [(item["action"], item["details"]["path"]) for item in trail["items"]]
    assert shown == [
        ("files.remove", "renamed"),
        ("files.move", "file"),
        ("files.upload", "file"),
    ]
    assert trail["items"][2]["details"]["size_bytes"] == 5


async def test_a_server_without_data_says_why(maintainer: Client) -> None:
    await maintainer.post(
        "/api/servers", json={"name": "far", "remote_url": "https://example.org/mcp"}
    )
    await maintainer.post("/api/servers", json={"name": "new", "package": "pypi:x"})

    far = await (await maintainer.get("/api/servers/far/files")).json()
    new = await (await maintainer.get("/api/servers/new/files")).json()

    assert (far["code"], new["code"]) == ("no_files", "no_files")
    assert "elsewhere" in far["detail"]
    assert "first build" in new["hint"]
