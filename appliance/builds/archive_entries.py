"""What an archive says it holds, one entry after the other, tar or zip alike; nothing is written here."""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Protocol

from appliance.builds.errors import (
    ArchiveBombError,
    ArchiveBrokenError,
    ArchiveEncryptedError,
    ArchiveNameError,
    ArchivePrivilegeError,
    ArchiveSpecialError,
)
from appliance.builds.tree_check import shown

#: A header that is longer holds no name, but a bomb for whoever reads it in one go.
MAX_HEADER_BYTES = 64 * 1024
MAX_LINK_BYTES = 4096
_PRIVILEGED = stat.S_ISUID | stat.S_ISGID
_UNIX = 3
_ENCRYPTED = 0x1
#: Beyond, zip's directory alone fills the memory.
_MAX_DIRECTORY_BYTES = 64 * 1024**2


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARD_LINK = "hard link"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Entry:
    """One file, directory or link."""

    #: As the archive has it; undecodable bytes are surrogates.
    path: str
    kind: Kind
    is_executable: bool = False
    #: Where a link points.
    link: str = ""
    content: _Readable | None = None

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield a file's bytes; to be read before the next entry is asked for.

        Raises:
            ArchiveBrokenError: It ends too early, or its sum is wrong.
        """
        with _Reading():
            while self.content and (chunk := self.content.read(size)):
                yield chunk


class _Reading:
    """Turns what the libraries raise at broken archives into one error."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, UnicodeError):
            raise ArchiveNameError(
                "The archive holds a name that is not UTF-8."
            ) from error
        broken = (
            EOFError, OSError, RecursionError, ValueError, NotImplementedError, RuntimeError,
            tarfile.TarError, zipfile.BadZipFile, zlib.error,
        )  # fmt: skip
        # A full disk is no fault of the archive's.
        if isinstance(error, broken) and getattr(error, "errno", None) is None:
            raise ArchiveBrokenError(
                f"The archive cannot be read: {shown(str(error)) or 'it ends too early'}.",
                hint="Pack it again, as tar.gz or zip.",
            ) from error


def entries_of(archive: Path) -> Iterator[Entry]:
    """Yield what the archive holds.

    Raises:
        ArchiveRefusedError: It cannot be read, or holds what is no file, directory or link.
    """
    with archive.open("rb") as file:
        magic = file.read(2)
        file.seek(0)
        yield from _tar(file) if magic == b"\x1f\x8b" else _zip(file)


class _Unzipped:
    """A gzip file that refuses to be read in large pieces: tarfile reads headers whole, whatever size they claim."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = gzip.GzipFile(fileobj=file)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise ArchiveBombError("The archive holds a header that is far too long.")
        return self._file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


_MAX_PADDING_BYTES = 64 * 1024**2
_LARGEST_READ = 4 * MAX_HEADER_BYTES


def _tar(file: IO[bytes]) -> Iterator[Entry]:
    unzipped = _Unzipped(file)
    with _Reading():
        archive = tarfile.open(  # noqa: SIM115 - the stream ends with its file
            fileobj=unzipped,  # type: ignore[call-overload]  # all that tarfile asks of a file
            mode="r:",
            encoding="utf-8",
            errors="surrogateescape",
        )
    while True:
        with _Reading():
            member = archive.next()
        if member is None:
            _read_to_end(unzipped)
            return
        # It keeps every header otherwise.
        archive.members = []
        yield _tar_entry(archive, member)


def _read_to_end(file: _Unzipped) -> None:
    """Read what pads the archive: its sum comes last, and only there shows whether what was read is what was packed."""
    left = _MAX_PADDING_BYTES
    with _Reading():
        while chunk := file.read(MAX_HEADER_BYTES):
            left -= len(chunk)
            if left < 0:
                raise ArchiveBombError("The archive goes on far beyond its end.")


def _tar_entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    is_executable = bool(member.mode & stat.S_IXUSR)
    if member.isdir():
        return Entry(member.name, Kind.DIRECTORY)
    if member.issym():
        return Entry(member.name, Kind.SYMLINK, link=member.linkname)
    if not (member.isreg() or member.islnk()) or member.issparse():
        raise _special(member.name)
    if member.mode & _PRIVILEGED:
        raise _privileged(member.name)
    if member.islnk():
        return Entry(member.name, Kind.HARD_LINK, link=member.linkname)
    with _Reading():
        content = archive.extractfile(member)
    return Entry(member.name, Kind.FILE, is_executable, content=content)


def _zip(file: IO[bytes]) -> Iterator[Entry]:
    with _Reading():
        archive = zipfile.ZipFile(file)
    if archive.start_dir and file.seek(0, 2) - archive.start_dir > _MAX_DIRECTORY_BYTES:
        raise ArchiveBombError("The archive's directory is far too long.")
    for item in archive.infolist():
        yield _zip_entry(archive, item)


def _zip_entry(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> Entry:
    mode = item.external_attr >> 16 if item.create_system == _UNIX else 0
    if "\0" in item.orig_filename:
        raise ArchiveNameError(
            f"The archive holds a name with a NUL: {shown(item.orig_filename)}."
        )
    if item.flag_bits & _ENCRYPTED:
        raise ArchiveEncryptedError(
            f"{shown(item.filename)} needs a password.", hint="Pack it without one."
        )
    # A slash at the end makes a directory, and some packers leave the mode out.
    if item.is_dir():
        return Entry(item.filename, Kind.DIRECTORY)
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFLNK}:
        raise _special(item.filename)
    with _Reading():
        content = archive.open(item)
        if stat.S_ISLNK(mode):
            target = content.read(MAX_LINK_BYTES + 1)
            if len(target) > MAX_LINK_BYTES:
                raise ArchiveBombError("The archive holds a link that is far too long.")
            return Entry(item.filename, Kind.SYMLINK, link=target.decode())
    if mode & _PRIVILEGED:
        raise _privileged(item.filename)
    return Entry(item.filename, Kind.FILE, bool(mode & stat.S_IXUSR), content=content)


def _special(path: str) -> ArchiveSpecialError:
    return ArchiveSpecialError(
        f"{shown(path)} is neither a file nor a directory nor a link.",
        hint="Leave devices, pipes, sockets and sparse files out.",
    )


def _privileged(path: str) -> ArchivePrivilegeError:
    return ArchivePrivilegeError(
        f"{shown(path)} would run as somebody else (setuid or setgid).",
        hint="Take that away with chmod ug-s.",
    )
