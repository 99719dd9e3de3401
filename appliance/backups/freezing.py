"""A file system held still while it is copied, by a process of its own that thaws it whatever becomes of us.

Writes to a frozen file system wait. So the process thaws when it is told to, when the pipe to it closes (which the kernel
does for us however we end), and when its time is over.
"""

import subprocess  # noqa: TID251 - one that must outlive a kill of ours by the moment it takes to thaw
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import fcntl, os, select, signal, sys
FREEZE, THAW = 0xC0045877, 0xC0045878
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
place = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
fcntl.ioctl(place, FREEZE, 0)
try:
    os.write(1, b"frozen\\n")
    ended, _, _ = select.select([0], [], [], float(sys.argv[2]))
finally:
    fcntl.ioctl(place, THAW, 0)
sys.exit(0 if ended else 3)
"""
_TOO_LONG = 3
_STOP_S = 30.0


@dataclass
class Frozen:
    """How it went."""

    #: Whether it was frozen at all.
    was_frozen: bool = False
    #: Whether it stayed so to the end.
    to_the_end: bool = False


@contextmanager
def frozen(place: Path, *, at_most_s: float) -> Iterator[Frozen]:
    """Hold the file system that is mounted at ``place`` still, for so many seconds at most.

    What cannot be frozen, for want of rights or because it knows no such thing, is simply not.
    """
    outcome = Frozen()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(place), str(at_most_s)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True, env={},
    )  # fmt: skip
    assert process.stdin is not None  # noqa: S101 - as asked for
    assert process.stdout is not None  # noqa: S101 - as asked for
    try:
        outcome.was_frozen = process.stdout.readline() == b"frozen\n"
        yield outcome
    finally:
        process.stdin.close()
        code = process.wait(_STOP_S)
        process.stdout.close()
        outcome.to_the_end = outcome.was_frozen and code == 0
