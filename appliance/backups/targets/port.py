"""The port of what keeps backups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.backups.progress import OnBytes


@dataclass(frozen=True)
class Kept:
    """One backup at a target."""

    name: str
    size_bytes: int


class Target(Protocol):
    """Keeps whole files by name. Every method blocks.

    All raise ``TargetUnavailableError`` when the target does not answer or does not let them.
    """

    @property
    def words(self) -> str:
        """Where it is, without anything secret."""

    def check(self) -> str:
        """Write something, read it, remove it; return in words what the target is like."""

    def place(self, staging: Path) -> Path:
        """Return the directory in which a backup is written until it is whole."""

    def put(self, file: Path, name: str, on_bytes: OnBytes) -> None:
        """Bring a whole file to the target under ``name``, at once and never half."""

    def same(self, file: Path, name: str, sha256: str, on_bytes: OnBytes) -> bool:
        """Read back what lies there under ``name`` and tell whether it has that checksum."""

    def fetch(self, name: str, to: Path, on_bytes: OnBytes) -> None:
        """Bring a file from the target."""

    def names(self) -> list[Kept]:
        """Return what is kept, whatever installation it is of."""

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
