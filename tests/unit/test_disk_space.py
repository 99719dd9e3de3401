"""What is said of disks: before they are full, when they are, and what to do."""

from pathlib import Path

import pytest

from appliance.infra.disk_space import (
    FULL_BYTES,
    MIB,
    DiskFullError,
    DiskTightError,
    Room,
    rooms,
    told,
)

GIB = 1024 * MIB
ROOMY = Room("/data", 12 * GIB, 20 * GIB)


def test_a_disk_with_room_is_told_with_what_is_free() -> None:
    said = told([ROOMY], low_bytes=512 * MIB)

    assert said == "/data has 12 GiB of 20 GiB free."


def test_a_disk_that_gets_full_is_told_with_what_is_free_and_what_to_do() -> None:
    low = Room("/images", 300 * MIB, 20 * GIB)

    with pytest.raises(DiskTightError) as caught:
        told([ROOMY, low], low_bytes=512 * MIB)

    assert "/images has 300 MiB of 20 GiB free" in caught.value.reason
    assert "/data" not in caught.value.reason
    assert "DISK_LOW_MIB" in caught.value.reason
    assert "Delete" in caught.value.reason


@pytest.mark.parametrize(
    "full",
    [
        Room("/data", FULL_BYTES - 1, GIB),
        Room("/data", 10 * GIB, 20 * GIB, free_files=0),
    ],
)
def test_a_disk_without_bytes_or_without_files_is_full(full: Room) -> None:
    with pytest.raises(DiskFullError, match="nothing can be written") as caught:
        told([full], low_bytes=0)

    assert "Make room" in caught.value.reason


def test_few_files_are_little_room() -> None:
    with pytest.raises(DiskTightError, match="room for 12 more files"):
        told([Room("/data", 10 * GIB, 20 * GIB, free_files=12)], low_bytes=0)


def test_places_on_one_disk_are_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    found = rooms([tmp_path / "data", tmp_path, tmp_path / "elsewhere"])

    (room,) = found
    assert room.place == str(tmp_path / "data")
    assert 0 < room.free_bytes <= room.total_bytes
