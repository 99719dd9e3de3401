"""Ports for what a test starts."""

import contextlib
import secrets
import socket

#: Below those that the kernel gives away by itself, and so many that processes that draw at once do not meet.
_DRAWN = range(15_000, 32_000)


def free_port() -> int:
    """Return a port of loopback on which nobody listens now, and which nobody is given who does not ask for it by number."""
    while True:
        port = secrets.choice(_DRAWN)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
