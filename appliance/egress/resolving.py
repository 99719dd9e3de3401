"""Names to addresses as this box finds them: its hosts file, its resolver. In threads, because that blocks."""

import queue
import socket
import threading
from collections.abc import Callable

THREADS = 4
#: Threads need little: the resolver's own buffers.
STACK_BYTES = 256 * 1024
#: Questions that wait for a thread; more are answered with nothing.
WAITING = 256

Found = Callable[[list[str]], None]


class Resolver:
    """Asks in threads of its own, which begin with the first question.

    Args:
        post: Has a function called in the loop's thread.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None]) -> None:
        """Start nothing yet."""
        self._post = post
        self._questions: queue.SimpleQueue[tuple[str, int, Found]] = queue.SimpleQueue()
        self._threads = 0

    def ask(self, host: str, port: int, found: Found) -> None:
        """Have ``found`` called with the addresses of a name, IPv4 first; none: it has none."""
        if self._questions.qsize() >= WAITING:
            found([])
            return
        self._questions.put((host, port, found))
        if self._threads < THREADS:
            self._threads += 1
            threading.stack_size(STACK_BYTES)
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            host, port, found = self._questions.get()
            addresses = resolve(host, port)
            self._post(lambda found=found, addresses=addresses: found(addresses))  # type: ignore[misc]


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name. Blocking."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    found = dict.fromkeys(str(item[4][0]) for item in answers)
    return sorted(found, key=lambda address: ":" in address)
