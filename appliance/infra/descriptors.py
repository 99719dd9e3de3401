"""Descriptors of other processes, and what they are."""

import ctypes
import os
import socket

#: Of Linux 5.6, on every architecture that this runs on.
_PIDFD_GETFD = 438


def copied(pid: int, descriptor: int) -> int | None:
    """Return a copy of a descriptor that another process has, not inherited by programs; ``None``: it cannot be had.

    The kernel gives it to whoever could trace the process anyway (``pidfd_getfd``).

    Raises:
        ProcessLookupError: There is no such process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    opened = os.pidfd_open(pid)
    try:
        number = libc.syscall(_PIDFD_GETFD, opened, descriptor, 0)
    finally:
        os.close(opened)
    return number if number >= 0 else None


def takes_connections(item: socket.socket) -> bool:
    """Whether a socket listens."""
    return bool(item.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
