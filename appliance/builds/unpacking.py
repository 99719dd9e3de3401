"""The process that ``archive.unpack`` starts: reads one hostile archive, and writes one harmless tree of files."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from appliance.builds.archive import VERDICT
from appliance.builds.archive_entries import Entry, Kind, entries_of
from appliance.builds.errors import (
    ArchiveBombError,
    ArchiveLinkError,
    ArchiveNameError,
    ArchivePathError,
    CheckoutRefusedError,
    StrangeNameError,
)
from appliance.builds.tree_check import check_name, is_git_name, shown

MIB = 1024**2
#: Source code shrinks to a tenth; what shrinks to less than a hundredth is a bomb, from the size on where that matters.
MAX_RATIO = 100
RATIO_FROM_BYTES = 32 * MIB
_CHUNK = 256 * 1024


class Unpacking:
    """One archive on its way to the disk.

    Args:
        target: Is made here; nobody else may write there.
        packed_bytes: Size of the archive itself.
    """

    def __init__(
        self, target: Path, *, packed_bytes: int, max_bytes: int, max_files: int
    ) -> None:
        """Make the directory."""
        self._target = target
        self._allowed = max_bytes
        if max_bytes > RATIO_FROM_BYTES:
            self._allowed = min(
                max_bytes, max(RATIO_FROM_BYTES, packed_bytes * MAX_RATIO)
            )
        self._max_files = max_files
        self._count = 0
        self._bytes = 0
        #: Path as other file systems see it, to the path and what it is.
        self._known: dict[str, tuple[str, Kind]] = {}
        self._links: list[Entry] = []
        self.left_out = 0
        target.mkdir(mode=0o755)

    def run(self, entries: Iterator[Entry]) -> str:
        """Unpack, and return the one directory that holds everything, or nothing."""
        for entry in entries:
            self._count += 1
            if self._count > self._max_files:
                raise ArchiveBombError(
                    f"The archive holds more than {self._max_files} files and directories.",
                    hint="SOURCE_MAX_FILES allows more.",
                )
            self._take(entry)
        for link in self._links:
            self._link(link)
        return self._only_directory()

    def _take(self, entry: Entry) -> None:
        path = _relative(entry.path)
        if not path:
            return
        if any(is_git_name(part) for part in path.split("/")):
            self.left_out += 1
            return
        self._register(path, entry.kind)
        place = self._target / path
        match entry.kind:
            case Kind.DIRECTORY:
                place.mkdir(exist_ok=True)
            case Kind.FILE:
                self._write(entry, place)
            case Kind.HARD_LINK:
                self._hard_link(entry, place)
            case Kind.SYMLINK:
                self._links.append(Entry(path, entry.kind, link=entry.link))

    def _register(self, path: str, kind: Kind) -> None:
        """Make the directories above, and refuse a path that is taken or goes through something else.

        Raises:
            ArchiveNameError: The path is there twice, or as other letters' case has it.
            ArchivePathError: What should be a directory above it is none.
        """
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            found = self._claim(above, Kind.DIRECTORY)
            if found is None:
                self._count += 1
                (self._target / above).mkdir()
            elif found is not Kind.DIRECTORY:
                raise ArchivePathError(
                    f"The archive writes through {shown(above)}, which is no directory."
                )
        if self._claim(path, kind) not in {None, Kind.DIRECTORY} or (
            kind is not Kind.DIRECTORY and (self._target / path).is_dir()
        ):
            raise ArchiveNameError(f"The archive holds {shown(path)} twice.")

    def _claim(self, path: str, kind: Kind) -> Kind | None:
        """Take a path, and return what it was already."""
        taken = self._known.get(path.casefold())
        if taken is None:
            self._known[path.casefold()] = (path, kind)
            return None
        if taken[0] != path:
            raise ArchiveNameError(
                f"The archive holds {shown(taken[0])} and {shown(path)}: one file where letters' case does not count.",
                hint="Rename one of them.",
            )
        return taken[1]

    def _write(self, entry: Entry, place: Path) -> None:
        mode = 0o755 if entry.is_executable else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(place, flags, mode), "wb") as file:
            for chunk in entry.chunks(_CHUNK):
                self._bytes += len(chunk)
                if self._bytes > self._allowed:
                    raise ArchiveBombError(
                        f"The archive unpacks to more than {self._allowed // MIB} MiB.",
                        hint=f"SOURCE_MAX_MIB bounds it; and nothing may shrink to less than 1/{MAX_RATIO}.",
                    )
                file.write(chunk)

    def _hard_link(self, entry: Entry, place: Path) -> None:
        try:
            path = _relative(entry.link)
        except ArchivePathError as error:
            raise ArchiveLinkError(_leads_out(entry)) from error
        if self._known.get(path.casefold()) != (path, Kind.FILE):
            raise ArchiveLinkError(
                f"{shown(entry.path)} is a hard link to {shown(entry.link)}, which is no file before it in the archive."
            )
        os.link(self._target / path, place, follow_symlinks=False)

    def _link(self, entry: Entry) -> None:
        """Make a symbolic link that stays inside, whatever the links on its way are."""
        up = PurePosixPath(entry.path).parent
        target = PurePosixPath(entry.link)
        if not entry.link or target.is_absolute() or "\0" in entry.link:
            raise ArchiveLinkError(_leads_out(entry))
        place = self._target / entry.path
        place.symlink_to(entry.link)
        inside = os.path.realpath(self._target)
        found = os.path.realpath(self._target / up / target)
        if found != inside and not found.startswith(inside + os.sep):
            raise ArchiveLinkError(_leads_out(entry))

    def _only_directory(self) -> str:
        found = list(os.scandir(self._target))
        is_one = len(found) == 1 and found[0].is_dir(follow_symlinks=False)
        return found[0].name if is_one else ""


def _leads_out(entry: Entry) -> str:
    return f"{shown(entry.path)} is a link to {shown(entry.link)}, which leads out of the archive."


def _relative(path: str) -> str:
    """Return a path of the archive in its plainest form; empty: it means the archive's own top.

    Raises:
        ArchivePathError: It is absolute, or leads upwards.
        ArchiveNameError: It is no name that a build can carry.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or "\\" in path:
        raise ArchivePathError(
            f"The archive holds a path that leads out of it, or could elsewhere: {shown(path)}.",
            hint="Pack it from inside the directory, with relative paths.",
        )
    plain = "/".join(parts)
    try:
        check_name(plain, "archive")
    except StrangeNameError as error:
        raise ArchiveNameError(error.detail, hint=error.hint) from error
    return plain


def main(arguments: list[str]) -> None:
    """Unpack, and print the verdict."""
    archive, target = Path(arguments[0]), Path(arguments[1])
    found: dict[str, object]
    try:
        unpacking = Unpacking(
            target,
            packed_bytes=archive.stat().st_size,
            max_bytes=int(arguments[2]),
            max_files=int(arguments[3]),
        )
        root = unpacking.run(entries_of(archive))
        found = {"root": root, "left_out": unpacking.left_out}
    except CheckoutRefusedError as error:
        found = {
            "error": type(error).__name__,
            "detail": error.detail,
            "hint": error.hint,
        }
    sys.stdout.write(VERDICT + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
