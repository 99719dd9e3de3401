"""Small files that must never lie on a disk: where there is memory for them, and how they get there. Blocking throughout.

    ROOT/known/7              values that are hidden wherever server 7 prints them, as a JSON list
    ROOT/given/mcp-time-12/   files that one container sees, and nothing else
    ROOT/tokens/7.user-5      with what a remote server is called for a person, read by the gateway

The root is ours alone, so what lies below may belong to whoever a container runs as.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from appliance.core.errors import UnavailableError
from appliance.core.known_values import KnownValues
from appliance.infra.directories import own_directory

_MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
#: Where there usually is memory, in this order, after the directory for sockets.
_USUAL = (Path("/dev/shm"), Path("/run"))  # noqa: S108 - below it, a directory of our own
_READ_ONLY = 0o400
#: A directory that no container has yet is being filled, unless it is older.
_YOUNG_S = 300.0


class NoMemoryError(UnavailableError):
    """There is no file system in memory for files that must not lie on a disk."""

    code = "no_memory_directory"


def in_memory(path: Path, mounts: str) -> bool:
    """Return whether ``path`` lies on a file system in memory.

    Args:
        path: Absolute, without links.
        mounts: What ``/proc/self/mountinfo`` says.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        # Of several mounts at one place the last is seen.
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), after.split()[0]
    return kind in _IN_MEMORY


def memory_root(run_dir: Path, wanted: Path | None = None) -> Path | None:
    """Return the directory for such files, of whoever uses ``run_dir``; it may not exist yet. ``None``: there is no memory.

    Args:
        wanted: A directory that somebody chose.
    """
    try:
        mounts = _MOUNTS.read_text()
    except OSError:
        mounts = ""
    for place in (wanted,) if wanted else (run_dir, *_USUAL):
        real = place.resolve()
        if in_memory(real, mounts) and (place == run_dir or os.access(real, os.W_OK)):
            if place == run_dir:
                return place / "secrets"
            # Two installations on one box share none.
            mark = hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:12]
            return place / f"mcp-host-secrets-{mark}"
    return None


class MemoryFiles:
    """The files of one installation.

    Args:
        root: As ``memory_root`` returns it.
    """

    def __init__(self, root: Path | None) -> None:
        """Make nothing yet."""
        self._root = root
        self._read: dict[int, tuple[tuple[int, int], KnownValues]] = {}

    def _below(self, kind: str) -> Path:
        """Return one of the two directories, made.

        Raises:
            NoMemoryError: There is no memory for it.
        """
        if self._root is None:
            raise NoMemoryError(
                "This box has no file system in memory where secrets could lie.",
                hint="Mount a tmpfs and name it in SECRETS_DELIVERY_DIR.",
            )
        own_directory(self._root, mode=0o700)
        path = self._root / kind
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    # -- what is hidden

    def remember(self, server_id: int, values: Sequence[str]) -> None:
        """Have these values hidden, and those no more that are not among them.

        Raises:
            NoMemoryError: There is no memory for them.
        """
        if not values and self._root is None:
            return
        directory = self._below("known")
        fresh = directory / f".{server_id}.{secrets.token_hex(4)}"
        _write(fresh, json.dumps(sorted(values)).encode(), 0o600)
        fresh.replace(directory / str(server_id))

    def remembered(self, server_id: int) -> list[str] | None:
        """Return what is hidden of a server; ``None``: nothing was ever said of it since this box started."""
        if self._root is None:
            return None
        try:
            text = (self._root / "known" / str(server_id)).read_text()
        except FileNotFoundError:
            return None
        found: list[str] = json.loads(text)
        return found

    def hider(self, server_id: int) -> KnownValues | None:
        """Return what hides them, worked out once; ``None`` as with ``remembered``."""
        if self._root is None:
            return None
        try:
            found = (self._root / "known" / str(server_id)).stat()
        except FileNotFoundError:
            return None
        version = (found.st_ino, found.st_mtime_ns)
        known = self._read.get(server_id)
        if known is None or known[0] != version:
            known = (version, KnownValues(self.remembered(server_id) or ()))
            self._read[server_id] = known
        return known[1]

    def hide_all(self, text: str) -> str:
        """Return ``text`` without what is hidden of any server."""
        if self._root is not None:
            for path in _children(self._root / "known"):
                if path.name.isdigit() and (hide := self.hider(int(path.name))):
                    text = hide(text)
        return text

    # -- what is given

    def make(self, name: str) -> Path:
        """Return the directory of one container, made and empty.

        Raises:
            NoMemoryError: There is no memory for it.
        """
        directory = self._below("given") / name
        directory.mkdir(exist_ok=True)
        # Whatever our own mask is: the container's user must get in.
        directory.chmod(0o755)
        return directory

    def fill(
        self, name: str, files: Mapping[str, bytes], *, uid: int, gid: int
    ) -> None:
        """Put these files, and no others, into the directory of one container; only ``uid`` may read them."""
        directory = self.make(name)
        for path in directory.iterdir():
            path.unlink()
        for file_name, content in files.items():
            path = directory / file_name
            _write(path, content, _READ_ONLY)
            try:
                os.chown(path, uid, gid)
            except PermissionError:
                # A hub that is not root can give nothing away; nobody else reaches what is below its root.
                path.chmod(0o444)

    def remove(self, name: str) -> None:
        """Remove the directory of one container. Unknown: nothing to do."""
        if self._root is not None:
            _remove(self._root / "given" / name)

    # -- what processes hand each other

    def hand(self, kind: str, name: str, content: bytes) -> None:
        """Put one file where another process finds it, whole or not at all.

        Raises:
            NoMemoryError: There is no memory for it.
        """
        directory = self._below(kind)
        fresh = directory / f".{name}.{secrets.token_hex(4)}"
        _write(fresh, content, 0o600)
        fresh.replace(directory / name)

    def handed(self, kind: str, name: str) -> bytes | None:
        """Return what lies there; ``None``: nothing does."""
        if self._root is None:
            return None
        try:
            return (self._root / kind / name).read_bytes()
        except FileNotFoundError:
            return None

    def take_back(self, kind: str, name: str) -> None:
        """Remove it. Unknown: nothing to do."""
        if self._root is not None:
            (self._root / kind / name).unlink(missing_ok=True)

    def all_handed(self, kind: str) -> list[str]:
        """Return the names of all that lies there."""
        if self._root is None:
            return []
        return [
            path.name
            for path in _children(self._root / kind)
            if not path.name.startswith(".")
        ]

    def sweep(self, *, names: Collection[str], server_ids: Collection[int]) -> None:
        """Remove what is of no container and of no server any more."""
        if self._root is None or not self._root.is_dir():
            return
        before = time.time() - _YOUNG_S
        for path in _children(self._root / "given"):
            if path.name not in names and path.stat().st_mtime < before:
                _remove(path)
        for path in _children(self._root / "known"):
            if path.name.isdigit() and int(path.name) not in server_ids:
                path.unlink(missing_ok=True)


def _children(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return list(directory.iterdir())
    return []


def _remove(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _write(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(path, flags, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
