"""Read HTTP/1.1 requests. Pure, and strict: what two readers could understand differently is refused.

Stricter than the standard asks where nothing that speaks MCP needs the freedom: no folded lines, no bare line breaks, no
chunk extensions, no trailers, no target but a path, no protocol switch to web sockets.
"""

import re
from dataclasses import dataclass

from multidict import CIMultiDict

HEAD_LIMIT = 64 * 1024
FIELDS_LIMIT = 128
_LINE = re.compile(rb"([A-Z]+) (/[\x21\x22\x24-\x7e]*) HTTP/1\.([01])")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Control characters, and line breaks that are not whole.
_BAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_SIZE_START = re.compile(rb"[0-9A-Fa-f]{0,8}\r?")
_DIGITS = re.compile(r"[0-9]{1,15}")
_SIZE_LINE_LIMIT = 16
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Said once or not at all: of two, each reader may believe another.
_ONCE = (
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Content-Type",
    "Authorization",
    "X-API-Key",
    "Origin",
    "Expect",
    "Mcp-Session-Id",
)
_UPGRADES = ("websocket", "tcp")


class RequestError(Exception):
    """A request cannot be understood in one way only, or asks for what there is not.

    Args:
        reason: For who wrote the client.
        status: Of the answer.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        """Keep both."""
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Everything before the body."""

    method: str
    #: As it was sent: not unquoted.
    path: str
    query_string: str
    headers: CIMultiDict[str]
    #: ``None``: the body comes in chunks.
    content_length: int | None
    #: Whether the client keeps the connection for another request.
    keeps_alive: bool
    #: Whether an answer may be chunked, and informational responses are understood.
    is_http_1_1: bool
    expects_continue: bool


def parse_head(text: bytes) -> RequestHead:
    """Return what ``text`` says: request line and header lines, without the empty line at the end.

    Raises:
        RequestError: It is not a request, or not one that can be understood in one way only.
    """
    first, *lines = text.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None or _BAD.search(text) is not None:
        raise RequestError("That is no request for a path by HTTP/1.1.")
    if len(lines) > FIELDS_LIMIT:
        raise RequestError(f"More than {FIELDS_LIMIT} header fields.", 431)
    method = line[1].decode()
    if method not in METHODS:
        raise RequestError(f"There is no method {method[:20]} here.", 501)
    headers = CIMultiDict([_field(item) for item in lines])
    is_http_1_1 = line[3] == b"1"
    _refuse_ambiguity(headers, is_http_1_1=is_http_1_1)
    path, _, query_string = line[2].decode().partition("?")
    return RequestHead(
        method=method,
        path=path,
        query_string=query_string,
        headers=headers,
        content_length=_content_length(headers, is_http_1_1=is_http_1_1),
        keeps_alive=_keeps_alive(headers, is_http_1_1=is_http_1_1),
        is_http_1_1=is_http_1_1,
        expects_continue=is_http_1_1 and _expects_continue(headers),
    )


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" ")
    # Some readers take a tab around a value for a part of it.
    is_tabbed = value[:1] == b"\t" or value[-1:] == b"\t"
    if not colon or is_tabbed or _NAME.fullmatch(name) is None:
        raise RequestError("A header line cannot be read.")
    return name.decode(), value.decode("utf-8", "surrogateescape")


def _refuse_ambiguity(headers: CIMultiDict[str], *, is_http_1_1: bool) -> None:
    for name in _ONCE:
        if name in headers and len(headers.getall(name)) > 1:
            raise RequestError(f"{name} appears more than once.")
    if is_http_1_1 and "Host" not in headers:
        raise RequestError("Host is missing.")
    upgrade = headers.get("Upgrade", "").lower()
    if any(kind in upgrade for kind in _UPGRADES):
        raise RequestError("There is no switching of protocols here.")


def _content_length(headers: CIMultiDict[str], *, is_http_1_1: bool) -> int | None:
    length, coding = headers.get("Content-Length"), headers.get("Transfer-Encoding")
    if coding is not None:
        if length is not None or not is_http_1_1:
            raise RequestError("The body's length is said in two ways.")
        if coding.lower() != "chunked":
            raise RequestError("No transfer coding but chunked is known here.", 501)
        return None
    if length is None:
        return 0
    if _DIGITS.fullmatch(length) is None:
        raise RequestError("Content-Length is not a number.")
    return int(length)


def _keeps_alive(headers: CIMultiDict[str], *, is_http_1_1: bool) -> bool:
    said = ",".join(headers.getall("Connection", ())).lower()
    words = {word.strip() for word in said.split(",")}
    if is_http_1_1:
        return "close" not in words
    return "keep-alive" in words and "close" not in words


def _expects_continue(headers: CIMultiDict[str]) -> bool:
    expected = headers.get("Expect")
    if expected is not None and expected.lower() != "100-continue":
        raise RequestError("That Expect cannot be met.", 417)
    return expected is not None


class ChunkReader:
    """Puts a body together that comes in chunks.

    Args:
        limit: Bytes that the body may have.
    """

    def __init__(self, limit: int) -> None:
        """Expect the first chunk."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        #: Bytes of the chunk that are still to come, its line break included; 0: a size comes next.
        self._left = 0
        self._is_last = False
        self.is_done = False
        #: Whether the body was longer than the limit; it was not read to its end then.
        self.is_too_large = False

    def body(self) -> bytes:
        """Return what has come."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to the body and return the rest: of a line that is not complete, or of the next request.

        Raises:
            RequestError: It is not a chunked body.
        """
        at = 0
        while at < len(data) and not (self.is_done or self.is_too_large):
            after = self._take(data, at) if self._left else self._begin(data, at)
            if after == at:
                break
            at = after
        return data[at:]

    def _begin(self, data: bytes, at: int) -> int:
        """Read a size, or the empty line after the last one; return where it ends."""
        end = data.find(b"\r\n", at, at + _SIZE_LINE_LIMIT)
        if end < 0:
            rest = data[at : at + _SIZE_LINE_LIMIT]
            if len(rest) == _SIZE_LINE_LIMIT or _SIZE_START.fullmatch(rest) is None:
                raise RequestError("A chunk's size cannot be read.")
            return at
        if self._is_last:
            if end != at:
                raise RequestError("Trailers are not taken.")
            self.is_done = True
        elif _SIZE.fullmatch(data, at, end) is None:
            raise RequestError("A chunk's size cannot be read.")
        else:
            size = int(data[at:end], 16)
            self._is_last = not size
            self._left = size + 2 if size else 0
            self._size += size
            self.is_too_large = self._size > self._limit
        return end + 2

    def _take(self, data: bytes, at: int) -> int:
        """Read on in a chunk, whose last two bytes are its line break; return where what was read ends."""
        end = min(len(data), at + self._left)
        piece = data[at : min(end, at + max(0, self._left - 2))]
        if piece:
            self._parts.append(piece)
        tail = data[at + len(piece) : end]
        place = self._left - len(piece)
        if tail and not b"\r\n"[2 - min(place, 2) :].startswith(tail):
            raise RequestError("A chunk is longer than it said.")
        self._left -= end - at
        return end
