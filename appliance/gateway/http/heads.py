"""Write the heads of HTTP/1.1 answers."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: From the bridge to a worker: the request is passed on now.
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Clock:
    """What is the same in all answers of a quarter second."""

    def __init__(self) -> None:
        """Look at the clock."""
        #: Whether every answer is its connection's last.
        self.is_ending = False
        self.turn()

    def turn(self) -> float:
        """Look again, and return seconds of the monotonic clock."""
        #: Seconds of the monotonic clock, a quarter second old at most.
        self.now = time.monotonic()
        date = f"Date: {formatdate(usegmt=True)}\r\n\r\n".encode()
        #: The end of a head.
        self.lines = date
        #: The end of a head after which the connection is closed.
        self.last_lines = b"Connection: close\r\n" + date
        return self.now


def head(
    status: int, headers: Iterable[tuple[str, str]], length: int | None = None
) -> bytes:
    """Return status line and header lines, without the empty line at the end.

    Args:
        status: Of the answer.
        headers: No value of theirs may hold a line break.
        length: Of the body; ``None``: not known.

    Raises:
        ValueError: A header holds a line break.
    """
    lines = [_status_line(status)]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}\r\n")
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        raise ValueError("a header holds a line break")
    return text.encode("utf-8", "surrogateescape")


def text_head(status: int, length: int) -> bytes:
    """Return the head of an answer in plain words."""
    return head(status, [("Content-Type", "text/plain; charset=utf-8")], length)


@lru_cache(maxsize=1024)
def length_line(length: int) -> bytes:
    """Return the line that tells how long a body is."""
    return b"Content-Length: %d\r\n" % length


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:  # a server may make up its own
        phrase = "Other"
    return f"HTTP/1.1 {status} {phrase}\r\n"
