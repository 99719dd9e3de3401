"""Backups in a directory of this box, which may be a mounted share."""

import hashlib
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance.backups.errors import TargetUnavailableError
from appliance.backups.naming import parse
from appliance.backups.progress import OnBytes
from appliance.backups.targets.port import Kept
from appliance.core.units import size
from appliance.infra.directories import settle

_CHUNK = 1024**2
_PRIVATE = 0o700


def digest(file: Path, on_bytes: OnBytes) -> str:
    """Return a file's SHA-256. Blocking."""
    found = hashlib.sha256()
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
            on_bytes(len(chunk))
    return found.hexdigest()


@dataclass(frozen=True)
class DirectoryTarget:
    """See ``Target``."""

    path: Path

    @property
    def words(self) -> str:
        """Where it is."""
        return str(self.path)

    def check(self) -> str:
        """Write something, read it, remove it."""
        self._make()
        trial = self.path / f".trial-{secrets.token_hex(4)}"
        try:
            trial.write_bytes(b"trial")
            trial.unlink()
        except OSError as error:
            raise _unavailable(self.path, error) from error
        return f"{self.path} can be written to; {size(shutil.disk_usage(self.path).free)} are free."

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise _unavailable(self.path, error) from error

    def place(self, staging: Path) -> Path:  # noqa: ARG002 - a rename stays within one file system
        """Return the directory itself: a rename makes a whole file of an unfinished one."""
        self._make()
        return self.path

    def put(self, file: Path, name: str, on_bytes: OnBytes) -> None:
        """Give the file, which lies in ``place`` already, its name."""
        on_bytes(0)
        try:
            file.replace(self.path / name)
            settle(self.path)
        except OSError as error:
            raise _unavailable(self.path, error) from error

    def same(self, file: Path, name: str, sha256: str, on_bytes: OnBytes) -> bool:  # noqa: ARG002 - as the port says it
        """Tell whether the file has its name: it is the one that was read back before."""
        on_bytes(0)
        try:
            return (self.path / name).is_file()
        except OSError as error:
            raise _unavailable(self.path, error) from error

    def fetch(self, name: str, to: Path, on_bytes: OnBytes) -> None:
        """Copy a file."""
        try:
            with (self.path / name).open("rb") as source, to.open("wb") as copy:
                while chunk := source.read(_CHUNK):
                    copy.write(chunk)
                    on_bytes(len(chunk))
        except OSError as error:
            raise _unavailable(self.path, error) from error

    def names(self) -> list[Kept]:
        """Return what is kept; a directory that is not there keeps nothing."""
        try:
            return [
                Kept(file.name, file.stat().st_size)
                for file in sorted(self.path.iterdir())
                if parse(file.name)
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unavailable(self.path, error) from error

    def remove(self, name: str) -> None:
        """Remove a file."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(self.path, error) from error


def _unavailable(path: Path, error: OSError) -> TargetUnavailableError:
    return TargetUnavailableError(
        f"{path}: {error.strerror}.",
        hint="BACKUP_TARGET must be a directory that the hub may write to.",
    )
