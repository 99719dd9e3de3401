"""Archives that try something, each with the code of the failure that it must come to."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MIB = 1024**2
#: Bounds that the bombs below go beyond.
MAX_BYTES = 64 * MIB
MAX_FILES = 1000


@dataclass(frozen=True)
class Trick:
    """One archive."""

    name: str
    code: str
    make: Callable[[], bytes]


def entry(name: str | bytes, kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    """Return the header of one tar entry, in the oldest format, with whatever name."""
    info = tarfile.TarInfo("x")
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"))
    raw = name if isinstance(name, bytes) else name.encode()
    header[:100] = raw[:100].ljust(100, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return bytes(header)


def file(name: str | bytes, text: bytes = b"x", **fields: Any) -> bytes:
    """Return a tar entry with content."""
    padding = bytes(-len(text) % 512)
    return entry(name, size=len(text), **fields) + text + padding


def tar(*entries: bytes) -> bytes:
    """Return a tar.gz of entries as they stand."""
    return gzip.compress(b"".join(entries) + bytes(1024), 6)


def pax(size: int) -> bytes:
    """Return a header of headers that claims ``size`` bytes and has them."""
    return entry("pax", tarfile.XHDTYPE, size=size) + bytes(size + -size % 512)


def long_name(name: bytes) -> bytes:
    """Return GNU's way to a name of any length."""
    body = name + b"\0"
    head = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=len(body))
    return head + body + bytes(-len(body) % 512)


def zipped(*members: tuple[str, bytes, int], flags: int = 0) -> bytes:
    """Return a zip of (name, content, mode)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    found = bytearray(buffer.getvalue())
    if flags:
        # Both in the entry's own header and in the directory.
        struct.pack_into("<H", found, 6, flags)
        struct.pack_into("<H", found, found.find(b"PK\1\2") + 8, flags)
    return bytes(found)


def _renamed(old: bytes, new: bytes) -> bytes:
    return zipped((old.decode(), b"x", 0o100644)).replace(old, new)


def _sparse() -> bytes:
    return tar(entry("holes", tarfile.GNUTYPE_SPARSE, size=0))


def _bomb(size: int) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as packed:
        packed.write(entry("zeros", size=size))
        for _ in range(size // MIB):
            packed.write(bytes(MIB))
    return buffer.getvalue()


_LINK, _HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
_REGULAR = 0o100644

TRICKS = (
    Trick("traversal", "archive_path", lambda: tar(file("../evil"))),
    Trick("inner-traversal", "archive_path", lambda: tar(file("a/../../evil"))),
    Trick("absolute", "archive_path", lambda: tar(file("/tmp/evil"))),
    Trick("backslashes", "archive_path", lambda: tar(file("..\\evil"))),
    Trick("link-out", "archive_link", lambda: tar(entry("l", _LINK, linkname="../../etc/passwd"))),
    Trick("absolute-link", "archive_link", lambda: tar(entry("l", _LINK, linkname="/etc/passwd"))),
    Trick("links-in-a-row", "archive_link", lambda: tar(
        entry("a/b", _LINK, linkname="../c"), entry("c", _LINK, linkname=".."))),
    Trick("write-through-link", "archive_path", lambda: tar(entry("d", _LINK, linkname="/tmp"), file("d/evil"))),
    Trick("link-replaces-file", "archive_name", lambda: tar(file("f"), entry("f", _LINK, linkname="/etc/passwd"))),
    Trick("hard-link-out", "archive_link", lambda: tar(entry("h", _HARD, linkname="/etc/passwd"))),
    Trick("hard-link-up", "archive_link", lambda: tar(entry("h", _HARD, linkname="../../etc/passwd"))),
    Trick("hard-link-to-link", "archive_link", lambda: tar(
        entry("l", _LINK, linkname="f"), entry("h", _HARD, linkname="l"))),
    Trick("fifo", "archive_special_file", lambda: tar(entry("p", tarfile.FIFOTYPE))),
    Trick("disk", "archive_special_file", lambda: tar(entry("sda", tarfile.BLKTYPE, devmajor=8))),
    Trick("device", "archive_special_file", lambda: tar(entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3))),
    Trick("sparse", "archive_special_file", _sparse),
    Trick("setuid", "archive_setuid", lambda: tar(file("su", mode=0o4755))),
    Trick("setgid", "archive_setuid", lambda: tar(file("su", mode=0o2755))),
    Trick("twice", "archive_name", lambda: tar(file("a"), file("a", b"y"))),
    Trick("file-then-directory", "archive_path", lambda: tar(file("a"), file("a/b"))),
    Trick("letters-case", "archive_name", lambda: tar(file("Dockerfile"), file("dockerfile"))),
    Trick("letters-case-of-directories", "archive_name", lambda: tar(file("A/x"), file("a/y"))),
    Trick("not-utf-8", "archive_name", lambda: tar(file(b"caf\xe9"))),
    Trick("line-break", "archive_name", lambda: tar(file("a\nb"))),
    Trick("escape-sequence", "archive_name", lambda: tar(file("a\x1b[2Jb"))),
    Trick("long-name", "archive_name", lambda: tar(long_name(b"n" * 300) + file("x"))),
    Trick("deep", "archive_name", lambda: tar(long_name(b"d/" * 100 + b"f") + file("x"))),
    Trick("zeros", "archive_bomb", lambda: _bomb(48 * MIB)),
    Trick("more-than-allowed", "archive_bomb", lambda: _bomb(80 * MIB)),
    Trick("tiny-files", "archive_bomb", lambda: tar(*(entry(f"{n}") for n in range(MAX_FILES + 1)))),
    Trick("tiny-directories", "archive_bomb", lambda: tar(*(file(f"{n}/a/b/f") for n in range(MAX_FILES // 3)))),
    Trick("header-bomb", "archive_bomb", lambda: tar(pax(32 * MIB) + file("a"))),
    Trick("headers-of-headers", "archive_broken", lambda: tar(pax(512) * 5000 + file("a"))),
    Trick("cut-off", "archive_broken", lambda: tar(file("a", bytes(range(256)) * 400))[:-40]),
    Trick("wrong-sum", "archive_broken", lambda: tar(file("a"))[:-8] + bytes(8)),
    Trick("no-archive", "archive_broken", lambda: b"PK\3\4 is how a zip begins"),
    Trick("zip-traversal", "archive_path", lambda: zipped(("../evil", b"x", _REGULAR))),
    Trick("zip-absolute", "archive_path", lambda: zipped(("/tmp/evil", b"x", _REGULAR))),
    Trick("zip-backslashes", "archive_path", lambda: _renamed(b"...evil", b"..\\evil")),
    Trick("zip-link-out", "archive_link", lambda: zipped(("l", b"/etc/passwd", stat.S_IFLNK | 0o777))),
    Trick("zip-write-through-link", "archive_path", lambda: zipped(
        ("d", b"/tmp", stat.S_IFLNK | 0o777), ("d/evil", b"x", _REGULAR))),
    Trick("zip-fifo", "archive_special_file", lambda: zipped(("p", b"", stat.S_IFIFO | 0o644))),
    Trick("zip-device", "archive_special_file", lambda: zipped(("d", b"", stat.S_IFBLK | 0o644))),
    Trick("zip-setuid", "archive_setuid", lambda: zipped(("su", b"x", 0o104755))),
    Trick("zip-nul", "archive_name", lambda: _renamed(b"a-evil", b"a\0evil")),
    Trick("zip-password", "archive_encrypted", lambda: zipped(("a", b"x", _REGULAR), flags=1)),
    Trick("zip-zeros", "archive_bomb", lambda: zipped(("zeros", bytes(48 * MIB), _REGULAR))),
    Trick("zip-case", "archive_name", lambda: zipped(("A", b"", _REGULAR), ("a", b"", _REGULAR))),
    Trick("zip-cut-off", "archive_broken", lambda: zipped(("a", b"x" * 1000, _REGULAR))[:-30]),
)  # fmt: skip

#: Files that are git's own are left out, in any spelling, and nothing else.
GIT_FILES = tar(
    file("server.py", b"print()"),
    file(".git/hooks/post-checkout", b"#!/bin/sh\ntouch /tmp/evil\n", mode=0o755),
    file(".GIT/config"),
    file("sub/.git", b"gitdir: /etc"),
    file("sub/git~1/config"),
    file("sub/.gitignore"),
    entry("sub/link", _LINK, linkname="../server.py"),
    entry("same", _HARD, linkname="server.py"),
)
