"""Archives that try something: each is refused by its own name, and nothing of this box is touched."""

import asyncio
import os
from pathlib import Path

import pytest

from appliance.builds.archive import unpack
from appliance.builds.errors import BuildFailedError
from appliance.builds.limits import Limits
from tests.harness.hostile_archives import (
    GIT_FILES,
    MAX_BYTES,
    MAX_FILES,
    TRICKS,
    Trick,
    file,
    tar,
)

LIMITS = Limits(max_bytes=MAX_BYTES, max_files=MAX_FILES, timeout_s=60)
ONE_DIRECTORY = tar(
    file("repo-1a2b3c/run.sh", mode=0o755), file("repo-1a2b3c/a", mode=0o600)
)
#: Processes at once.
AT_ONCE = 3


def written_outside(place: Path) -> list[Path]:
    """Return what any trick wrote where it wanted to."""
    return [*place.rglob("*evil"), *Path("/tmp").glob("evil")]


async def test_every_trick_is_refused_by_its_own_name(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def tried(trick: Trick) -> tuple[str, str]:
        async with gate:
            place = tmp_path / trick.name
            place.mkdir()
            return trick.name, await _tried(trick, place)

    found = dict(await asyncio.gather(*map(tried, TRICKS)))

    assert found == {trick.name: trick.code for trick in TRICKS}
    assert not await asyncio.to_thread(written_outside, tmp_path)


async def _tried(trick: Trick, place: Path) -> str:
    archive = place / "archive"
    await asyncio.to_thread(lambda: archive.write_bytes(trick.make()))
    try:
        await unpack(archive, place / "out", LIMITS, on_line=lambda _: None, mark="")
    except BuildFailedError as error:
        return error.code
    return "unpacked"


async def test_what_is_git_s_own_is_left_out_and_the_rest_unpacked(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(GIT_FILES)
    said: list[str] = []

    root = await unpack(archive, tmp_path / "out", LIMITS, on_line=said.append, mark="")

    found = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    assert found == {"server.py", "same", "sub", "sub/.gitignore", "sub/link"}
    assert str((root / "sub/link").readlink()) == "../server.py"
    assert (root / "same").read_bytes() == b"print()"
    assert said == ["Left out git's own files: 4."]


async def test_one_directory_around_everything_is_looked_through(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(ONE_DIRECTORY)

    root = await unpack(
        archive, tmp_path / "out", LIMITS, on_line=lambda _: None, mark=""
    )

    assert root == tmp_path / "out" / "repo-1a2b3c"
    assert os.access(root / "run.sh", os.X_OK)


async def test_unpacking_ends_in_time(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(ONE_DIRECTORY)

    with pytest.raises(BuildFailedError) as caught:
        await unpack(
            archive,
            tmp_path / "out",
            Limits(MAX_BYTES, MAX_FILES, 0.01),
            on_line=lambda _: None,
            mark="",
        )

    assert caught.value.code == "build_timeout"
