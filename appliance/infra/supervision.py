"""What keeps processes running tells others how they are: one small file for each that watches.

Whoever starts processes writes ``RUN_DIR/supervision/<its name>.json`` when something changes; the hub reads all of them.
Nothing but the standard library, because the writers are processes that must stay small.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.infra.replacing import replace_file


@dataclass(frozen=True)
class ProgramState:
    """How one program is, as what keeps it running sees it."""

    #: ``running``, ``waiting`` to be started again, ``stopped``, ``silent``, …
    state: str = "stopped"
    pid: int = 0
    #: Since the watcher itself was started.
    restarts: int = 0
    #: Of the last restart, or of why it does not run; empty: it never was.
    reason: str = ""
    #: When that was, seconds of the wall clock; 0: never.
    at: float = 0.0
    #: Why somebody should look at it; empty: nobody needs to.
    alarm: str = ""
    #: Whether the last restart was the watch's own deed, because it hung.
    was_ended: bool = False


def directory(run_dir: Path) -> Path:
    """Return where the files are."""
    return run_dir.absolute() / "supervision"


class Board:
    """Writes one watcher's file, when there is something new in it.

    Args:
        path: The file; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        """Know nothing yet."""
        self._path = path
        self._written = ""

    def show(self, programs: Mapping[str, ProgramState]) -> None:
        """Write down how the programs are. What cannot be written is left out: keeping them running matters more."""
        text = json.dumps({name: asdict(item) for name, item in programs.items()})
        if text == self._written:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, text.encode())
            self._written = text


def read(run_dir: Path) -> dict[str, ProgramState]:
    """Return every program that somebody keeps running; empty: nobody says so. Blocking."""
    found: dict[str, ProgramState] = {}
    for path in sorted(directory(run_dir).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            told = json.loads(path.read_bytes())
            found |= {name: ProgramState(**item) for name, item in told.items()}
    return found
