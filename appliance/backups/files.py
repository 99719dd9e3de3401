"""The appliance's own files as an archive, and back."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from appliance.backups.errors import BackupDamagedError

#: Below DATA_DIR: dumped or copied as parts of their own, derived, or of no use elsewhere.
LEFT_OUT = frozenset(
    {"postgres", "disks", "log", "output", "builds", "proxy", "backups", "secrets", "releases", "lost+found"}
)  # fmt: skip
#: What begins so is being written, or was put aside by a restore.
_PASSING = (".", "before-restore-")


def entries(data_dir: Path, target: Path | None = None) -> list[Path]:
    """Return what of DATA_DIR goes into a backup. Blocking.

    Args:
        target: A directory that backups go to: one that is in DATA_DIR would hold itself, and grow with every backup.
    """
    return sorted(
        path
        for path in data_dir.iterdir()
        if path.name not in LEFT_OUT
        and not path.name.startswith(_PASSING)
        and not (target and target.is_relative_to(path.absolute()))
    )


def archiver(data_dir: Path, target: Path | None = None) -> Callable[[IO[bytes]], None]:
    """Return what writes them into a pipe. What vanishes meanwhile is left out: the database's moment did not need it."""

    def write(pipe: IO[bytes]) -> None:
        with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in entries(data_dir, target):
                _add(tar, path, path.name)

    return write


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        tar.add(path, name, recursive=False)
    except (FileNotFoundError, tarfile.TarError):
        return
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            _add(tar, child, f"{name}/{child.name}")


def unpacker(to: Path) -> Callable[[IO[bytes]], None]:
    """Return what reads such an archive from a pipe and makes files of it below ``to``."""

    def read(pipe: IO[bytes]) -> None:
        with tarfile.open(fileobj=pipe, mode="r|gz") as tar:
            for member in tar:
                _refuse_strange(member)
                tar.extract(member, to)

    return read


def _refuse_strange(member: tarfile.TarInfo) -> None:
    path = Path(member.name)
    is_ours = member.isreg() or member.isdir() or member.issym()
    if path.is_absolute() or ".." in path.parts or not is_ours:
        raise BackupDamagedError(f"{member.name} is nothing that a backup holds.")
