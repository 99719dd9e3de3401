"""Who may attach to a container: one bridge at a time, also while one takes over from another.

Two bridges that read the same pipe would each get half of what a server says. A claim is a lock on a file, so that the kernel
frees it when its holder dies, however that happens.
"""

import asyncio
import contextlib
import fcntl
import os
from collections import Counter, defaultdict
from pathlib import Path

#: Seconds between two looks whether somebody else has let go.
LOOK_EVERY_S = 0.02


class Claims:
    """The claims of this process, by name; the same one may be taken several times.

    Args:
        directory: Where all bridges of one gateway keep their locks.
    """

    def __init__(self, directory: Path) -> None:
        """Hold none, and make the directory, for this user alone."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._held: dict[str, int] = {}
        self._users: Counter[str] = Counter()
        self._doors: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take(self, name: str) -> None:
        """Wait until no other process holds ``name``, and hold it."""
        async with self._doors[name]:
            while name not in self._held:
                # Not in a thread, though it opens a file: cancelled there, nobody would ever close what it locked.
                descriptor = _locked(self._path(name))
                if descriptor is None:
                    await asyncio.sleep(LOOK_EVERY_S)
                else:
                    self._held[name] = descriptor
            self._users[name] += 1

    def release(self, name: str) -> None:
        """Let go of ``name`` when everybody here has who took it."""
        self._users[name] -= 1
        if self._users[name] <= 0:
            del self._users[name]
            os.close(self._held.pop(name))
            if name in self._doors and not self._doors[name].locked():
                del self._doors[name]

    def forget(self, name: str) -> None:
        """Remove the file of what is gone for good. Blocking."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock; ``None``: another process has it, or has just removed the file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    os.close(descriptor)
    return None
