"""The sign of life of a process, which another one watches from outside.

A beat is the time of change of a small file: it costs microseconds, needs no room on a disk, and is made where the process does
its work, so that one whose event loop is stuck stops beating however busily its threads go on.
"""

import faulthandler
import os
import signal
from pathlib import Path

#: Between two beats, in seconds.
EVERY_S = 2.0
#: Has a process that beats write down what each of its threads does, into its log.
DUMP = signal.SIGUSR1
_STDERR = 2


def heartbeat_file(run_dir: Path, program: str) -> Path:
    """Return where a program beats."""
    return run_dir.absolute() / "beats" / program


class Heartbeat:
    """Beats into one file. Where that is not possible nobody watches, and nothing else is harmed.

    Args:
        path: As ``heartbeat_file`` says.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, and be ready to tell what every thread does. Blocking."""
        self._path = str(path)
        # Before the first beat: whoever beats may be asked, and the signal would end a process that does not know it.
        faulthandler.register(DUMP, file=_STDERR, all_threads=True)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError:
            self._path = ""

    def beat(self) -> None:
        """Show that the process is alive."""
        if self._path:
            try:
                os.utime(self._path)
            except OSError:
                self._path = ""

    async def run(self) -> None:
        """Beat as long as the event loop turns."""
        import asyncio  # noqa: PLC0415 - others who beat have no room for it

        while True:
            self.beat()
            await asyncio.sleep(EVERY_S)


def last_beat(path: Path) -> int | None:
    """Return what changes with every beat; ``None``: nobody beats there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
