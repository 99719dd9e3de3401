"""A door in front of a server on loopback that can be held shut at the very request one waits for."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
PATIENCE_S = 120.0


class Gate:
    """Forwards connections; a request whose first bytes are ``wanted`` waits until it is let through.

    Args:
        port: Of the server on loopback.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._wanted: Callable[[bytes], bool] = lambda _: False
        self._reached = threading.Event()
        self._open = threading.Event()
        self._open.set()

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.set()
        self._listener.close()

    def shut(self, wanted: Callable[[bytes], bool]) -> None:
        """Hold the next request whose first bytes are ``wanted``."""
        self._reached.clear()
        self._open.clear()
        self._wanted = wanted

    def await_held(self) -> None:
        """Wait until a request is held."""
        if not self._reached.wait(PATIENCE_S):
            raise TimeoutError("the request that was waited for did not come")

    def open(self) -> None:
        """Let everything through again."""
        self._wanted = lambda _: False
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, target, looks in (
                (client, server, True),
                (server, client, False),
            ):
                threading.Thread(
                    target=self._copy,
                    args=(source, target),
                    kwargs={"looks": looks},
                    daemon=True,
                ).start()

    def _copy(
        self, source: socket.socket, target: socket.socket, *, looks: bool
    ) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                if looks and self._wanted(chunk):
                    self._reached.set()
                    self._open.wait()
                target.sendall(chunk)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
