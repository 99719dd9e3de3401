"""What a helper does with a server's files, in a folder of this box and with somebody who changes them meanwhile."""

import asyncio
import contextlib
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.runtimes.errors import VolumeRefusedError
from appliance.runtimes.volume_door import VolumeDoor, VolumeLostError
from appliance.runtimes.volume_model import (
    EntryKind,
    Incoming,
    ListFrom,
    Parts,
    Refusal,
)
from tests.fakes.volumes import Piped, opened

ROOMY = Incoming(limit_bytes=1 << 30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The volume's folder; beside it lies what nobody may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("the box's own")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
async def door(root: Path) -> AsyncIterator[VolumeDoor]:
    async with opened(root) as found:
        yield found


def names_in(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def dig(root: Path, depth: int) -> None:
    """Make folders in folders, each with a file: a path so long that no call takes it."""
    folder = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=folder)
        below = os.open("deeper", os.O_RDONLY, dir_fd=folder)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(folder)
        folder = below
    os.close(folder)


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def content_of(door: VolumeDoor, *path: str) -> bytes:
    entry, _ = await door.open(path, checksum=False)
    return b"".join([piece async for piece in door.read(0, entry.size_bytes)])


async def refusal(asked: object) -> Refusal:
    with pytest.raises(VolumeRefusedError) as caught:
        await asked  # type: ignore[misc]  # any of the door's coroutines
    return caught.value.refusal


async def test_a_file_comes_whole_with_its_checksum_and_goes_in_parts(
    door: VolumeDoor, root: Path
) -> None:
    content = secrets.token_bytes(700_000)
    incoming = Incoming(parents=True, limit_bytes=1 << 20)

    entry, digest = await door.write(("a", "b", "file"), incoming, once(content))
    again, same = await door.open(("a", "b", "file"), checksum=True)
    part = b"".join([piece async for piece in door.read(300_000, 100)])

    assert (root / "a" / "b" / "file").read_bytes() == content
    assert entry.size_bytes == len(content)
    assert (again.tag, same) == (entry.tag, digest)
    assert part == content[300_000:300_100]


async def test_a_name_that_is_taken_is_kept_unless_told_otherwise(
    door: VolumeDoor, root: Path
) -> None:
    (root / "taken").write_text("first")
    (root / "folder").mkdir()

    refused = await refusal(door.write(("taken",), ROOMY, once(b"second")))
    folder = await refusal(
        door.write(("folder",), Incoming(overwrite=True, limit_bytes=9), once(b"x"))
    )
    kept = (root / "taken").read_text()
    await door.write(
        ("taken",), Incoming(overwrite=True, limit_bytes=9), once(b"third")
    )

    assert (refused, folder, kept) == (Refusal.EXISTS, Refusal.IS_A_FOLDER, "first")
    assert (root / "taken").read_text() == "third"


async def test_what_is_too_large_or_not_what_was_said_leaves_nothing(
    door: VolumeDoor, root: Path
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)

    too_large = await refusal(
        door.write(("x",), Incoming(limit_bytes=100_000), endless())
    )
    wrong = await refusal(
        door.write(("x",), Incoming(limit_bytes=9, sha256="00" * 32), once(b"hello"))
    )
    full = await refusal(
        door.write(("x",), Incoming(limit_bytes=1 << 62, size_bytes=1 << 60), once(b""))
    )

    assert (too_large, wrong, full) == (
        Refusal.OVER_LIMIT,
        Refusal.CHECKSUM,
        Refusal.FULL,
    )
    assert names_in(root) == []


async def test_an_upload_that_breaks_off_leaves_nothing(root: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    async with opened(root) as door:
        with pytest.raises(ConnectionResetError):
            await door.write(("x",), ROOMY, broken())
        assert not door.is_free

    assert names_in(root) == []


async def test_links_are_shown_and_never_followed(door: VolumeDoor, root: Path) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    (root / "secret").symlink_to(root.parent / "outside" / "secret")
    (root / "up").symlink_to("..")

    shown = {entry.name: entry for entry in (await door.list((), None, 10)).entries}
    answers = [
        await refusal(door.open(("secret",), checksum=False)),
        await refusal(door.open(("out", "secret"), checksum=False)),
        await refusal(door.open(("up", "outside", "secret"), checksum=False)),
        await refusal(door.list(("out",), None, 10)),
        await refusal(door.write(("out", "new"), ROOMY, once(b"x"))),
        await refusal(door.remove(("out", "secret"), recursive=True)),
        await refusal(door.make_folder(("out", "new"), parents=True)),
        await refusal(door.move(("secret",), ("out", "moved"), overwrite=True)),
    ]
    await door.write(
        ("secret",), Incoming(overwrite=True, limit_bytes=9), once(b"mine")
    )
    await door.remove(("out",), recursive=True)

    assert shown["secret"].kind is EntryKind.LINK
    assert shown["secret"].target.endswith("outside/secret")
    assert set(answers) == {Refusal.NOT_A_FILE, Refusal.NOT_A_FOLDER}
    assert (root / "secret").read_text() == "mine"
    assert (root.parent / "outside" / "secret").read_text() == "the box's own"
    assert names_in(root.parent / "outside") == ["secret"]


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "/etc/passwd", "a\0b", "../outside/secret", "\ud800"]
)
async def test_a_name_that_is_none_is_refused(door: VolumeDoor, name: str) -> None:
    assert await refusal(door.open((name,), checksum=False)) is Refusal.BAD_NAME
    assert await refusal(door.list(("x", name), None, 1)) in {
        Refusal.BAD_NAME,
        Refusal.MISSING,
    }


async def test_what_is_neither_file_nor_folder_makes_nobody_wait(
    door: VolumeDoor, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(root)  # a socket's whole path must be short
    listening.bind("socket")

    kinds = {
        item.name: item.kind.value for item in (await door.list((), None, 9)).entries
    }
    answers = [
        await refusal(door.open((name,), checksum=True)) for name in ("pipe", "socket")
    ]
    listening.close()

    assert kinds == {"pipe": "pipe", "socket": "socket"}
    assert answers == [Refusal.NOT_A_FILE, Refusal.NOT_A_FILE]


async def test_names_that_are_no_text_are_names(door: VolumeDoor, root: Path) -> None:
    raw = b"caf\xe9 \xff"
    (root / os.fsdecode(raw)).write_bytes(b"latin")

    (entry,) = (await door.list((), None, 9)).entries
    content = await content_of(door, entry.name)
    await door.remove((entry.name,), recursive=False)

    assert os.fsencode(entry.name) == raw
    assert content == b"latin"
    assert names_in(root) == []


async def test_a_huge_folder_is_listed_in_parts_folders_first(
    door: VolumeDoor, root: Path
) -> None:
    for number in range(40):
        (root / f"d{number:03}").mkdir()
    for number in range(460):
        (root / f"{number:03}").touch()

    seen: list[str] = []
    after: ListFrom | None = None
    while True:
        part = await door.list((), after, 77)
        seen += [entry.name for entry in part.entries]
        assert part.total == 500
        if (after := part.more) is None:
            break

    assert seen == [f"d{n:03}" for n in range(40)] + [f"{n:03}" for n in range(460)]


async def test_a_folder_is_removed_however_deep_it_is(
    door: VolumeDoor, root: Path
) -> None:
    dig(root, 700)

    used = await door.usage()
    full = await refusal(door.remove(("deeper",), recursive=False))
    await door.remove(("deeper",), recursive=True)

    assert used.entries > 300
    assert full is Refusal.NOT_EMPTY
    assert names_in(root) == []


async def test_a_file_that_shrinks_while_it_is_read_ends_earlier(
    door: VolumeDoor, root: Path
) -> None:
    (root / "file").write_bytes(bytes(4_000_000))
    entry, _ = await door.open(("file",), checksum=False)

    os.truncate(root / "file", 1000)
    pieces = [piece async for piece in door.read(0, entry.size_bytes)]

    assert sum(map(len, pieces)) == 1000
    assert door.is_free


async def test_something_is_moved_only_where_nothing_is(
    door: VolumeDoor, root: Path
) -> None:
    (root / "a").write_text("a")
    (root / "folder" / "inner").mkdir(parents=True)

    clash = await refusal(door.move(("a",), ("folder",), overwrite=False))
    itself = await refusal(
        door.move(("folder",), ("folder", "inner", "x"), overwrite=False)
    )
    moved = await door.move(("a",), ("folder", "b"), overwrite=False)

    assert (clash, itself) == (Refusal.EXISTS, Refusal.INTO_ITSELF)
    assert moved.name == "b"
    assert (root / "folder" / "b").read_text() == "a"


async def test_a_program_that_ends_is_said_to_have_ended(root: Path) -> None:
    async with opened(root) as door:
        pipe = door._pipe
        assert isinstance(pipe, Piped)
        pipe.process.kill()

        with pytest.raises(VolumeLostError):
            await door.stat(())


def swapping(root: Path, stop: threading.Event) -> Callable[[], None]:
    """Return what swaps ``root/x`` between a folder and a link that leads out, as fast as it can."""

    def swap() -> None:
        folder, link = root / ".folder", root / ".link"
        folder.mkdir()
        (folder / "secret").write_text("the server's own")
        link.symlink_to(root.parent / "outside")
        while not stop.is_set():
            for name in (folder, link):
                with contextlib.suppress(OSError):
                    name.rename(root / "x")
                with contextlib.suppress(OSError):
                    (root / "x").rename(name)

    return swap


@pytest.fixture
def swapped(root: Path) -> Iterator[None]:
    """A server that swaps a folder for a link all the time."""
    stop = threading.Event()
    thread = threading.Thread(target=swapping(root, stop))
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("swapped")
async def test_a_server_that_swaps_a_folder_for_a_link_leads_nobody_out(
    door: VolumeDoor, root: Path
) -> None:
    read: set[bytes] = set()
    for number in range(400):
        with contextlib.suppress(VolumeRefusedError):
            read.add(await content_of(door, "x", "secret"))
        with contextlib.suppress(VolumeRefusedError):
            await door.write(("x", f"new-{number}"), ROOMY, once(b"x"))
        with contextlib.suppress(VolumeRefusedError):
            await door.list(("x",), None, 10)
        with contextlib.suppress(VolumeRefusedError):
            await door.remove(("x", f"new-{number}"), recursive=True)

    assert read <= {b"the server's own"}
    assert read
    assert names_in(root.parent / "outside") == ["secret"]
    assert (root.parent / "outside" / "secret").read_text() == "the box's own"


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=30
)
TRICKS = st.sampled_from(["..", ".", "x", "out", "secret", "up", "\udcff", "a/b", ""])


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.lists(NAMES | TRICKS, min_size=1, max_size=5).map(tuple),
    content=st.binary(max_size=50),
)
def test_whatever_the_path_it_leads_nowhere_but_into_the_volume(
    root: Path, path: Parts, content: bytes
) -> None:
    for name, target in (("out", "../outside"), ("up", "..")):
        with contextlib.suppress(FileExistsError):
            (root / name).symlink_to(target)

    async def ask() -> None:
        async with opened(root) as door:
            incoming = Incoming(overwrite=True, parents=True, limit_bytes=50)
            try:
                await door.write(path, incoming, once(content))
            except VolumeRefusedError:
                return
            assert await content_of(door, *path) == content
            if path[0] not in {"out", "up"}:
                await door.remove(path[:1], recursive=True)

    asyncio.run(ask())

    assert names_in(root.parent) == ["data", "outside"]
    assert names_in(root.parent / "outside") == ["secret"]
    assert (root.parent / "outside" / "secret").read_text() == "the box's own"
