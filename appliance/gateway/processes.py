"""What the master needs of the system to keep children: how they die with it, and how they are ended."""

import contextlib
import ctypes
import os
import signal
import time

from appliance.infra.process_facts import born_at

STOPPING = (signal.SIGTERM, signal.SIGINT)
#: Told to a child by the kernel when its master is gone.
ORPHANED = signal.SIGHUP
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def become_mortal(parent: int, told: signal.Signals = signal.SIGTERM) -> None:
    """Have this child told when the master dies, however that happens; forget the master's own signals.

    Args:
        parent: The master.
        told: What the kernel sends then; deadly until the child listens to it.
    """
    signal.set_wakeup_fd(-1)
    for number in (*STOPPING, ORPHANED, signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    # Told that it is relieved before it listens, it would be killed by that.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, told, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def show_as(name: str) -> None:
    """Let ``ps`` and ``top`` tell the children apart."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"mcp-{name}".encode(), 0, 0, 0)


def drain(descriptor: int) -> bytes:
    """Return what a pipe that does not block holds."""
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 4096)
    return b""


def ended_children() -> list[tuple[int, int]]:
    """Return process ids and wait statuses of the children that have ended since the last time."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended.append((pid, status))
    return ended


def end(pids: set[int], deadline: float) -> None:
    """Tell processes to stop, children or not, and kill those that have not by ``deadline``."""
    for pid in pids:
        kill(pid, signal.SIGTERM)
    while pids and time.monotonic() < deadline:
        ended_children()  # whose numbers are free then
        pids = {pid for pid in pids if born_at(pid) is not None}
        if pids:
            time.sleep(0.02)
    for pid in pids:
        kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child, which may have ended."""
    # Somebody may have told the whole process group to stop, and the child has ended already.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
