"""Where releases are installed: ``releases/<version>``, the link ``current``, and what became of them. Everything blocks."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from appliance.infra import releases
from appliance.infra.directories import settle
from appliance.upgrades.errors import (
    NotInstalledError,
    UnknownReleaseError,
    UpgradeRunsError,
)
from appliance.upgrades.model import Change, Journal, Outcome

#: Written last when a release is made: one without it was interrupted.
COMPLETE = ".complete"
#: Changes that are shown.
SHOWN = 20


class Home:
    """One box's releases.

    Args:
        path: Such as ``/opt/mcp-host``.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.path = path
        self._journal = path / "upgrade.json"
        self._history = path / "history.jsonl"

    @classmethod
    def found(cls) -> "Home":
        """Return that of the running code.

        Raises:
            NotInstalledError: It is a checkout.
        """
        path = releases.home()
        if path is None:
            raise NotInstalledError(
                "This is a checkout, not an installed box.",
                hint="scripts/install.sh installs; a checkout is updated with git.",
            )
        return cls(path)

    @property
    def version(self) -> str:
        """The release that counts."""
        return (self.path / "current").readlink().name

    def release(self, version: str) -> Path:
        """Return where a release is.

        Raises:
            UnknownReleaseError: It is not there, or only in part.
        """
        found = self.path / "releases" / version
        if "/" in version or not (found / COMPLETE).is_file():
            known = ", ".join(self.versions()) or "none"
            raise UnknownReleaseError(
                f"Release {version} is not on this box; there are: {known}."
            )
        return found

    def versions(self) -> list[str]:
        """Return the complete releases, the newest made last."""
        found = [path.parent for path in self.path.glob(f"releases/*/{COMPLETE}")]
        found.sort(key=lambda path: ((path / COMPLETE).stat().st_mtime_ns, path.name))
        return [path.name for path in found]

    def command(self, version: str) -> str:
        """Return the program of a release."""
        return os.fspath(self.release(version) / "venv/bin/mcp-host")

    def point_to(self, version: str) -> None:
        """Have ``version`` be the release that counts, at once and for good."""
        target = self.release(version)
        scratch = self.path / f".current.{os.getpid()}"
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(target.relative_to(self.path))
        scratch.replace(self.path / "current")
        settle(self.path)

    def before(self) -> str:
        """Return the release that counted before the one that does.

        Raises:
            UnknownReleaseError: There was none, or it is not on this box any more.
        """
        for change in reversed(self.changes()):
            is_here = change.to == self.version and change.origin in self.versions()
            if change.outcome is not Outcome.FAILED and is_here:
                return change.origin
        raise UnknownReleaseError("There is no earlier release on this box.")

    # -- one at a time, and not lost

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else change the release.

        Raises:
            UpgradeRunsError: Somebody does.
        """
        with (self.path / "upgrade.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UpgradeRunsError("Another upgrade is on its way.") from error
            yield

    def journal(self) -> Journal | None:
        """Return the change that has begun and not ended."""
        try:
            return Journal(**json.loads(self._journal.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, journal: Journal) -> None:
        """Note that a change begins."""
        _write(self._journal, json.dumps(asdict(journal)))

    def end(self, journal: Journal, outcome: Outcome, text: str = "") -> None:
        """Note how it ended."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        change = Change(now, outcome, journal.to, journal.origin, text)
        kept = [json.dumps(asdict(item)) for item in self.changes()]
        _write(self._history, "\n".join([*kept, json.dumps(asdict(change))]) + "\n")
        self._journal.unlink(missing_ok=True)

    def changes(self) -> list[Change]:
        """Return the last changes, oldest first."""
        try:
            lines = self._history.read_text().splitlines()[-SHOWN:]
            values = [json.loads(line) for line in lines]
            return [
                Change(**item | {"outcome": Outcome(item["outcome"])})
                for item in values
            ]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def prune(self) -> list[str]:
        """Remove releases that nobody needs, and return their versions; one that something runs from stays."""
        kept = {self.version}
        with contextlib.suppress(UnknownReleaseError):
            kept.add(self.before())
        gone = []
        for path in (self.path / "releases").iterdir():
            if path.name not in kept and not _is_used(path):
                shutil.rmtree(path)
                gone.append(path.name)
        return sorted(gone)


def installed() -> Home | None:
    """Return the releases of the running code; ``None``: it is a checkout."""
    path = releases.home()
    return None if path is None else Home(path)


def _is_used(release: Path) -> bool:
    """Whether a process was started from below ``release``."""
    mark = os.fsencode(release) + b"/"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes():
                return True
    return False


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    settle(path.parent)
