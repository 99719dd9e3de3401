"""Runs in a container that has nothing but one server's volume, as that server's user: does what the hub asks with files.

The server may run at the same time and change any name while it is looked at. So names are never resolved by the
kernel as a path: every folder is opened by its one name, relative to the folder before, and never through a link. What
was opened stays what it was, whatever its name becomes. A new file has no name until it is whole.

Questions come on standard input, answers go to standard output, both in frames: a length of four bytes, then JSON, or
a piece of a file; an empty frame ends a file. A file that turns out shorter than announced just ends earlier.

Only the standard library: this text is given to an interpreter in the container.
"""

import base64
import contextlib
import ctypes
import errno
import hashlib
import heapq
import json
import os
import secrets
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")
PIECE = 256 * 1024
#: Open folders above one that is being emptied or measured.
MAX_DEPTH = 200
RENAME_NOREPLACE = 1
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Neither waits for the other end of a pipe nor becomes the terminal's owner.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}
CODES = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "not_a_folder",
    errno.ELOOP: "not_a_folder",
    errno.EISDIR: "is_a_folder",
    errno.EEXIST: "exists",
    errno.ENOTEMPTY: "not_empty",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ENAMETOOLONG: "too_long",
    errno.EINVAL: "into_itself",
}


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """What was asked cannot be done; ``code`` says why."""

    def __init__(self, code: str, **details: Any) -> None:
        """Keep the code and what else there is to say."""
        super().__init__(code)
        self.answer = {"error": code, **details}


class Volume:
    """The files below one folder.

    Args:
        root: The folder, open.
        source: Where questions and pieces of files come from.
        sink: Where answers and pieces of files go.
    """

    def __init__(self, root: int, source: BinaryIO, sink: BinaryIO) -> None:
        """Wait for questions."""
        self.root = root
        self.source = source
        self.sink = sink
        self.opened: int | None = None

    # -- frames

    def receive(self) -> bytes | None:
        """Return the next frame; ``None`` when the hub hung up."""
        head = self.source.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        length = LENGTH.unpack(head)[0]
        frame = self.source.read(length)
        return frame if len(frame) == length else None

    def send(self, payload: bytes) -> None:
        """Send one frame."""
        self.sink.write(LENGTH.pack(len(payload)) + payload)
        self.sink.flush()

    def serve(self) -> None:
        """Answer until the hub hangs up."""
        while (question := self.receive()) is not None:
            asked = json.loads(question)
            try:
                answer = getattr(self, f"do_{asked.pop('do')}")(**asked)
            except Refused as refused:
                answer = refused.answer
            except OSError as error:
                code = CODES.get(error.errno or 0, "failed")
                answer = {"error": code, "words": error.strerror}
            self.send(json.dumps(answer).encode())

    # -- names

    @contextlib.contextmanager
    def folder(self, path: list[str], *, make: bool = False) -> Iterator[int]:
        """Give an open folder, reached name by name; with ``make``, those that are missing are made."""
        current = os.dup(self.root)
        try:
            for part in path:
                name = _name(part)
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o755, dir_fd=current)
                below = os.open(name, FOLDER, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    # -- what may be asked

    def do_list(
        self, path: list[str], after: list[Any] | None, limit: int
    ) -> dict[str, Any]:
        """Return up to ``limit`` entries, folders first, then by name, from the first one behind ``after``."""
        behind = (after[0], _name(after[1])) if after else (-1, b"")
        total = 0

        def found(folder: int) -> Iterator[tuple[int, bytes]]:
            nonlocal total
            with os.scandir(folder) as entries:
                for entry in entries:
                    total += 1
                    kind = 0 if entry.is_dir(follow_symlinks=False) else 1
                    key = (kind, os.fsencode(entry.name))
                    if key > behind:
                        yield key

        with self.folder(path) as folder:
            chosen = heapq.nsmallest(limit + 1, found(folder))
            items = [_describe(folder, name) for _, name in chosen[:limit]]
        return {
            "items": [item for item in items if item],
            "more": len(chosen) > limit,
            "last": _key(chosen[limit - 1]) if len(chosen) > limit else None,
            "total": total,
        }

    def do_stat(self, path: list[str]) -> dict[str, Any]:
        """Return what is at ``path``."""
        if not path:
            return {"name": "", **_facts(os.fstat(self.root))}
        with self.folder(path[:-1]) as folder:
            found = _describe(folder, _name(path[-1]))
        if found is None:
            raise Refused("missing")
        return found

    def do_open(self, path: list[str], hash: bool) -> dict[str, Any]:  # noqa: A002, FBT001 - words of the protocol
        """Open a file for ``send``; with ``hash``, read all of it first."""
        self.do_close()
        with self.folder(path[:-1]) as folder:
            opened = _open_file(folder, _name(path[-1]))
        self.opened = opened
        facts = _facts(os.fstat(opened))
        return {**facts, "sha256": _sha256(opened) if hash else None}

    def do_send(self, offset: int, length: int) -> dict[str, Any]:
        """Send a part of the open file as frames, ended by an empty one."""
        if self.opened is None:
            raise Refused("missing")
        sent = 0
        while sent < length:
            wanted = min(PIECE, length - sent)
            piece = os.pread(self.opened, wanted, offset + sent)
            if not piece:
                break
            self.send(piece)
            sent += len(piece)
        self.send(b"")
        return {"sent": sent}

    def do_close(self) -> dict[str, Any]:
        """Close the open file, if any."""
        if self.opened is not None:
            os.close(self.opened)
            self.opened = None
        return {}

    def do_write(
        self,
        path: list[str],
        *,
        overwrite: bool,
        parents: bool,
        limit: int,
        size: int | None,
        sha256: str | None,
    ) -> dict[str, Any]:
        """Take a file: says first whether it may come, then takes it as frames, then gives it its name.

        Args:
            limit: Bytes that it may have.
            size: Bytes that it is said to have.
            sha256: What it must have, in hex.
        """
        name = _name(path[-1])
        with self.folder(path[:-1], make=parents) as folder:
            _may_take(folder, name, overwrite=overwrite)
            _has_room(folder, size)
            # It has no name: whatever breaks off from here on leaves nothing.
            file = os.open(".", NEW, 0o644, dir_fd=folder)
            try:
                self.send(b'{"ready":true}')
                taken, digest = self._take(file, limit)
                if sha256 and digest != sha256:
                    raise Refused("checksum", sha256=digest, size=taken)
                os.fsync(file)
                _give_name(file, folder, name, overwrite=overwrite)
                facts = _facts(os.fstat(file))
            finally:
                os.close(file)
        return {**facts, "sha256": digest}

    def _take(self, file: int, limit: int) -> tuple[int, str]:
        """Write what comes, and say at once when it cannot be written; what still comes is read and dropped."""
        digest, taken = hashlib.sha256(), 0
        refused: Exception | None = None
        while piece := self.receive():
            if refused is not None:
                continue
            refused = _refusal(file, piece, room=limit - taken)
            taken += len(piece)
            digest.update(piece)
            if refused is not None:
                self.send(b'{"stop":true}')
        if refused is not None:
            raise refused
        if piece is None:
            raise SystemExit  # the hub is gone, and nobody waits for an answer
        return taken, digest.hexdigest()

    def do_mkdir(self, path: list[str], parents: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
        """Make a folder."""
        with self.folder(path[:-1], make=parents) as folder:
            os.mkdir(_name(path[-1]), 0o755, dir_fd=folder)
        return self.do_stat(path)

    def do_remove(self, path: list[str], recursive: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
        """Remove a file, a link, an empty folder, or with ``recursive`` any folder."""
        name = _name(path[-1])
        with self.folder(path[:-1]) as folder:
            found = os.lstat(name, dir_fd=folder)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=folder)
                return {"removed": 1}
            removed = _empty(folder, name) if recursive else 0
            os.rmdir(name, dir_fd=folder)
        return {"removed": removed + 1}

    def do_move(
        self,
        path: list[str],
        to: list[str],
        overwrite: bool,  # noqa: FBT001 - as above
    ) -> dict[str, Any]:
        """Give a file or folder another name or place; folders on its way are made."""
        source, target = _name(path[-1]), _name(to[-1])
        with (
            self.folder(path[:-1]) as here,
            self.folder(to[:-1], make=True) as there,
        ):
            if overwrite:
                os.rename(source, target, src_dir_fd=here, dst_dir_fd=there)
            else:
                _rename_unless_there(here, source, there, target)
        return self.do_stat(to)

    def do_usage(self) -> dict[str, Any]:
        """Return what everything takes on the disk, and what the disk has left."""
        files, used = _measure(self.root)
        disk = os.fstatvfs(self.root)
        return {"files": files, "used": used, "free": disk.f_bavail * disk.f_frsize}


def _name(part: str) -> bytes:
    """Return one name; the hub has checked it, and is checked."""
    try:
        name = os.fsencode(part)
    except UnicodeEncodeError as error:
        raise Refused("bad_name") from error
    if name in {b"", b".", b".."} or b"/" in name or b"\0" in name:
        raise Refused("bad_name")
    return name


def _key(key: tuple[int, bytes]) -> list[Any]:
    return [key[0], os.fsdecode(key[1])]


def _facts(found: os.stat_result) -> dict[str, Any]:
    seen = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
    return {
        "kind": KINDS.get(stat.S_IFMT(found.st_mode), "device"),
        "size": found.st_size if stat.S_ISREG(found.st_mode) else 0,
        "mtime_ns": found.st_mtime_ns,
        "tag": hashlib.sha256(seen.encode()).hexdigest()[:32],
    }


def _describe(folder: int, name: bytes) -> dict[str, Any] | None:
    """Return one entry; ``None`` if it went in the meantime."""
    try:
        facts = _facts(os.lstat(name, dir_fd=folder))
    except FileNotFoundError:
        return None
    if facts["kind"] == "link":
        # It was one when it was looked at.
        with contextlib.suppress(OSError):
            facts["target"] = os.fsdecode(os.readlink(name, dir_fd=folder))
    return {"name": os.fsdecode(name), **facts}


def _open_file(folder: int, name: bytes) -> int:
    try:
        opened = os.open(name, FILE, dir_fd=folder)
    except OSError as error:
        # A link; or a socket or device that nobody listens to.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise Refused("not_a_file") from error
        raise
    mode = os.fstat(opened).st_mode
    if not stat.S_ISREG(mode):
        os.close(opened)
        raise Refused("is_a_folder" if stat.S_ISDIR(mode) else "not_a_file")
    return opened


def _sha256(file: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while piece := os.pread(file, PIECE, offset):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()


def _may_take(folder: int, name: bytes, *, overwrite: bool) -> None:
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise Refused("is_a_folder")
    if not overwrite:
        raise Refused("exists")


def _has_room(folder: int, size: int | None) -> None:
    disk = os.fstatvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if size is not None and size > free:
        raise Refused("full", free=free)


def _refusal(file: int, piece: bytes, *, room: int) -> Exception | None:
    """Write one piece; return why that could not be."""
    if len(piece) > room:
        return Refused("over_limit")
    try:
        view = memoryview(piece)
        while view:
            view = view[os.write(file, view) :]
    except OSError as error:
        return error
    return None


def _give_name(file: int, folder: int, name: bytes, *, overwrite: bool) -> None:
    """Give a whole file its name; never through a link, and never into what another name holds."""
    itself = f"/proc/self/fd/{file}"
    if not overwrite:
        os.link(itself, name, dst_dir_fd=folder, follow_symlinks=True)
        return
    between = b".upload-" + base64.b32encode(secrets.token_bytes(10)).lower()
    os.link(itself, between, dst_dir_fd=folder, follow_symlinks=True)
    try:
        os.rename(between, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(between, dir_fd=folder)
        raise


def _rename_unless_there(here: int, source: bytes, there: int, target: bytes) -> None:
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    if rename(here, source, there, target, RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _each(folder: int) -> list[tuple[bytes, bool]]:
    with os.scandir(folder) as entries:
        return [
            (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False))
            for entry in entries
        ]


def _empty(parent: int, name: bytes) -> int:
    """Remove everything in a folder, however deep; return how many entries.

    What lies too deep to hold every folder above it open is moved up first.
    """
    removed = 0
    stack = [os.open(name, FOLDER, dir_fd=parent)]
    names = [name]
    try:
        while True:
            gone, below = _unlink_all(stack[-1])
            removed += gone
            if below and len(stack) < MAX_DEPTH:
                # It may have become something else, which the next look sees.
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    stack.append(os.open(below[0], FOLDER, dir_fd=stack[-1]))
                    names.append(below[0])
            elif below:
                _lift(stack[-1], below, stack[0])
            elif len(stack) == 1:
                return removed
            else:
                os.close(stack.pop())
                removed += _remove_folder(stack[-1], names.pop())
    finally:
        for opened in stack:
            os.close(opened)


def _unlink_all(folder: int) -> tuple[int, list[bytes]]:
    """Remove what is no folder; return how many that were, and the folders."""
    removed, folders = 0, []
    for entry, is_folder in _each(folder):
        if is_folder:
            folders.append(entry)
            continue
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry, dir_fd=folder)
            removed += 1
    return removed, folders


def _remove_folder(parent: int, name: bytes) -> int:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.rmdir(name, dir_fd=parent)
        return 1
    return 0


def _lift(folder: int, names: list[bytes], top: int) -> None:
    for name in names:
        new = b".lifted-" + secrets.token_hex(10).encode()
        with contextlib.suppress(FileNotFoundError):
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=top)


def _measure(root: int) -> tuple[int, int]:
    """Return how many entries there are and how many bytes they take; what lies deeper than ``MAX_DEPTH`` is not counted."""
    files = used = 0
    seen: set[int] = set()
    stack: list[Iterator[os.DirEntry[str]]] = []
    opened: list[int] = []

    def enter(folder: int) -> None:
        opened.append(folder)
        stack.append(iter(os.scandir(folder)))

    enter(os.dup(root))
    try:
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                os.close(opened.pop())
                continue
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                files += 1
                if found.st_ino not in seen:
                    used += found.st_blocks * 512
                if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                    seen.add(found.st_ino)
                if stat.S_ISDIR(found.st_mode) and len(stack) < MAX_DEPTH:
                    enter(os.open(entry.name, FOLDER, dir_fd=opened[-1]))
    finally:
        for folder in opened:
            os.close(folder)
    return files, used


def main(argv: list[str], exit_on: Callable[[int], None] = os._exit) -> None:
    """Serve the folder that the first argument names."""
    root = os.open(argv[1], FOLDER)
    volume = Volume(root, sys.stdin.buffer, sys.stdout.buffer)
    # A hub that went away takes nothing more, which is no fault to tell of.
    with contextlib.suppress(BrokenPipeError):
        volume.serve()
    exit_on(0)


if __name__ == "__main__":
    main(sys.argv)
