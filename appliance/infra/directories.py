"""Directories that are ours: made with the right mode, and refused when they are somebody else's."""

import os
import stat
from pathlib import Path

from appliance.core.errors import ConflictError


class ForeignDirectoryError(ConflictError):
    """A directory that should be ours belongs to somebody else."""

    code = "foreign_directory"


def settle(directory: Path) -> None:
    """Return once the names in ``directory`` would outlive a power cut. Blocking."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def own_directory(
    path: Path, *, mode: int, uid: int | None = None, gid: int = -1
) -> None:
    """Make ``path`` where it is missing and give it ``mode`` and its owner. Idempotent.

    Below a directory that all may write to, such as /tmp, somebody else could have been there first, and would own the
    sockets that are put there: a directory of another user, or a link, is refused.

    Args:
        uid: Whose it becomes; ourselves by default.

    Raises:
        ForeignDirectoryError: It is there and is not ours.
    """
    owner = os.geteuid() if uid is None else uid
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner}:
        raise ForeignDirectoryError(
            f"{path} belongs to somebody else.",
            hint="Remove it, or set DATA_DIR and RUN_DIR to directories of your own.",
        )
    if found.st_uid != owner:
        os.chown(path, owner, gid)
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
