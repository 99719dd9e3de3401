"""Read HTTP/1.1 responses as they arrive. Pure, and strict: what two readers could understand differently is refused."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

HEAD_LIMIT = 64 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: .*)?")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_WITHOUT_BODY = {204, 304}
_FIRST_FINAL = 200


class ResponseError(ConnectionError):
    """What came is not an HTTP response, or not one that can be understood in one way only."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Everything before the body."""

    status: int
    headers: list[tuple[str, str]]
    #: ``None``: not known before the end.
    content_length: int | None
    #: Whether the connection can carry another request after this response.
    is_reusable: bool

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        return (self.get("content-type") or "").partition(";")[0].strip().lower()

    def get(self, name: str) -> str | None:
        """Return the first header of this name, which is given in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class _Body(Enum):
    LENGTH = "so many bytes"
    CHUNKED = "chunks"
    UNTIL_CLOSE = "until the connection is closed"


class ResponseReader:
    """Reads one response.

    Args:
        on_body: Called with each piece of the body.
    """

    def __init__(self, on_body: Callable[[bytes], None]) -> None:
        """Expect a head."""
        self._on_body = on_body
        self._buffer = b""
        self._kind = _Body.LENGTH
        #: Bytes of the body, or of the chunk, that are still to come.
        self._left = 0
        self._is_after_chunk = False
        self._is_in_trailers = False
        self.head: Head | None = None
        self.is_done = False
        #: Whether an informational response came before the head.
        self.is_acknowledged = False

    @property
    def has_any(self) -> bool:
        """Whether anything came, be it an informational response."""
        return self.is_acknowledged or self.head is not None or bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            ResponseError: It cannot be understood, or there is more than one response.
        """
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer and self._step():
            pass
        if self.is_done and self._buffer:
            raise ResponseError("more than one response came")

    def feed_eof(self) -> None:
        """Take note that no more will come.

        Raises:
            ResponseError: More should have.
        """
        if self.head is not None and self._kind is _Body.UNTIL_CLOSE:
            self.is_done = True
        if not self.is_done:
            raise ResponseError("the connection was closed in mid-response")

    def _step(self) -> bool:
        """Read one piece; return whether there may be another."""
        if self.is_done:
            return False
        if self.head is None:
            return self._read_head()
        if self._kind is _Body.UNTIL_CLOSE:
            self._pass_on(len(self._buffer))
            return False
        if self._left:
            self._left -= self._pass_on(min(self._left, len(self._buffer)))
            if not self._left:
                self._end_of_piece()
            return True
        return self._read_line()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise ResponseError("the head is too long")
            return False
        text, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        head, self._kind = _parse_head(text)
        if self._kind is _Body.LENGTH:
            _remember(text, head)
        if head.status < _FIRST_FINAL:
            self.is_acknowledged = True
            return True
        self.head = head
        self._left = head.content_length or 0
        self.is_done = self._kind is _Body.LENGTH and not self._left
        return True

    def _pass_on(self, size: int) -> int:
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        self._on_body(piece)
        return size

    def _end_of_piece(self) -> None:
        if self._kind is _Body.LENGTH:
            self.is_done = True
        else:
            self._is_after_chunk = True

    def _read_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise ResponseError("a chunk's size is too long")
            return False
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        if self._is_in_trailers:
            self.is_done = not line
        elif self._is_after_chunk:
            if line:
                raise ResponseError("a chunk is longer than it said")
            self._is_after_chunk = False
        else:
            self._begin_chunk(line)
        return True

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise ResponseError("a chunk has no size")
        self._left = int(match[1], 16)
        self._is_in_trailers = not self._left


#: Heads that say how long the body is, as servers send them over and over, and what they say.
known_heads: dict[bytes, Head] = {}
_KNOWN_HEADS = 512
_KNOWN_BYTES = 2048


def _remember(text: bytes, head: Head) -> None:
    if head.status >= _FIRST_FINAL and len(text) <= _KNOWN_BYTES:
        if len(known_heads) >= _KNOWN_HEADS:
            known_heads.clear()
        known_heads[text] = head


def _parse_head(text: bytes) -> tuple[Head, _Body]:
    status_line, *lines = text.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None:
        raise ResponseError("that is not HTTP")
    headers = [_parse_header(line) for line in lines]
    code = int(status[2])
    found: dict[str, set[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), set()).add(value)
    length, kind = _framing(code, found)
    closes = any("close" in value.lower() for value in found.get("connection", ()))
    is_reusable = status[1] == b"1" and not closes and kind is not _Body.UNTIL_CLOSE
    return Head(code, headers, length, is_reusable), kind


def _parse_header(line: bytes) -> tuple[str, str]:
    match = _HEADER_LINE.fullmatch(line)
    if match is None or b"\0" in line or b"\r" in line or b"\n" in line:
        raise ResponseError("a header cannot be read")
    return match[1].decode(), match[2].decode("utf-8", "surrogateescape")


def _framing(status: int, found: dict[str, set[str]]) -> tuple[int | None, _Body]:
    """Return how long the body is, and how that is known."""
    lengths, codings = found.get("content-length"), found.get("transfer-encoding")
    if status < _FIRST_FINAL or status in _WITHOUT_BODY:
        return 0, _Body.LENGTH
    if codings:
        if lengths or {coding.lower() for coding in codings} != {"chunked"}:
            raise ResponseError("the body's length is said in two ways")
        return None, _Body.CHUNKED
    if lengths:
        (length, *others) = lengths
        if others or not (length.isascii() and length.isdigit()):
            raise ResponseError("the body's length cannot be read")
        return int(length), _Body.LENGTH
    return None, _Body.UNTIL_CLOSE
