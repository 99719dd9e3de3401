"""A door before the real container engine that can be slammed: what an engine that restarts looks like from outside."""

import contextlib
import socket
import threading
from pathlib import Path
from typing import Self

ENGINE = "/var/run/docker.sock"


class EngineDoor:
    """Forwards connections to the engine until told to cut them."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self._path = path
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def open(self) -> None:
        """Let connections through."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(
            target=self._accept, args=(self._listener,), daemon=True
        ).start()

    def cut(self) -> None:
        """Break every connection, and go on letting new ones through."""
        pairs, self._pairs = self._pairs, []
        for connection in [end for pair in pairs for end in pair]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def shut(self) -> None:
        """Break every connection and let none through."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._path.unlink(missing_ok=True)
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                outside, _ = listener.accept()
                inside = socket.socket(socket.AF_UNIX)
                inside.connect(ENGINE)
                self._pairs.append((outside, inside))
                for source, target in ((outside, inside), (inside, outside)):
                    threading.Thread(
                        target=_copy, args=(source, target), daemon=True
                    ).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
