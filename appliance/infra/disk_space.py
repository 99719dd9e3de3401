"""How much room is left where the appliance writes, in words that say what to do.

A disk that is nearly full is told before anything fails; one that is full is told while everything else may only say that it
could not write.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.core.errors import UnavailableError
from appliance.core.units import size

MIB = 1024**2
#: Below this Postgres cannot make the next file of its log, and stops.
FULL_BYTES = 32 * MIB
#: A file system that counts its files is low on them below this.
LOW_FILES = 1000


class DiskFullError(UnavailableError):
    """Nothing can be written any more."""

    code = "disk_full"


class DiskTightError(UnavailableError):
    """Soon nothing can be written any more."""

    code = "disk_tight"


@dataclass(frozen=True)
class Room:
    """What is left on one file system."""

    #: A directory on it that the appliance, or the engine for it, writes to.
    place: str
    free_bytes: int
    total_bytes: int
    #: Files that may still be made; ``None``: it does not count them.
    free_files: int | None = None

    @property
    def words(self) -> str:
        """What is left, for a person."""
        left = (
            f"{self.place} has {size(self.free_bytes)} of {size(self.total_bytes)} free"
        )
        if self.free_files is not None and self.free_files < LOW_FILES:
            return f"{left}, and room for {self.free_files} more files"
        return left


def rooms(places: Iterable[Path]) -> list[Room]:
    """Return what is left at ``places``, once for each file system; what is not there is left out. Blocking."""
    found: dict[int, Room] = {}
    for place in places:
        try:
            device, seen = place.stat().st_dev, os.statvfs(place)
        except OSError:
            continue  # an engine elsewhere keeps its images elsewhere
        found.setdefault(
            device,
            Room(
                str(place),
                seen.f_bavail * seen.f_frsize,
                seen.f_blocks * seen.f_frsize,
                seen.f_favail if seen.f_files else None,
            ),
        )
    return list(found.values())


def told(found: Sequence[Room], *, low_bytes: int) -> str:
    """Return in words what is left. Pure.

    Args:
        found: Every file system that is written to.
        low_bytes: Less than this is too little.

    Raises:
        DiskFullError: One of them is full.
        DiskTightError: One of them has little left.
    """
    full = [room for room in found if room.free_bytes < FULL_BYTES or not _files(room)]
    if full:
        raise DiskFullError(
            f"{_all(full)}: nothing can be written there.",
            hint="Make room: delete servers, uploads or other files there. What waits for it goes on by itself.",
        )
    tight = [
        room
        for room in found
        if room.free_bytes < low_bytes or _files(room) < LOW_FILES
    ]
    if tight:
        raise DiskTightError(
            f"{_all(tight)}; below {size(low_bytes)} (DISK_LOW_MIB) it will soon be full.",
            hint="Delete servers, uploads or other files there, or make the disk larger.",
        )
    return f"{_all(found)}." if found else "No disk of this box is written to."


def _files(room: Room) -> int:
    return LOW_FILES if room.free_files is None else room.free_files


def _all(found: Sequence[Room]) -> str:
    return ", ".join(room.words for room in found)
