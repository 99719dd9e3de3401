"""Byte streams that readers of HTTP have been fooled by, and what Hypothesis makes of them."""

from itertools import pairwise

from hypothesis import strategies as st

_GOOD = b"POST /servers/a/mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
_NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def _post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", *lines, b"", body])


#: Each followed by another request, so that a boundary that is seen elsewhere shows.
CORPUS = tuple(
    stream + _NEXT
    for stream in (
        _GOOD,
        # Two lengths.
        _post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        _post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
        _post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
        _post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
        _post(b"Content-Length: 5, 5", body=b"hello"),
        *(
            _post(b"Content-Length: " + length, body=b"hello")
            for length in (
                b"+5",
                b"-5",
                b"5 ",
                b"0x5",
                b"5_0",
                b"",
                b"05",
                b"\xb2",
                b"5\t",
            )
        ),
        # Codings.
        *(
            _post(b"Transfer-Encoding: " + coding, body=b"5\r\nhello\r\n0\r\n\r\n")
            for coding in (
                *(b"chunked", b"Chunked", b"xchunked", b"chunked, chunked"),
                *(b"gzip, chunked", b"chunked, identity", b"identity", b"chunked\x0b"),
                *(b"\tchunked", b"chunked\t", b'"chunked"', b"chunked;q=1", b""),
            )
        ),
        _post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
        _post(
            b"Transfer-Encoding: x", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
        ),
        _post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
        _post(b"Transfer\xadEncoding: chunked", body=b"0\r\n\r\n"),
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        # Chunks.
        *(
            _post(b"Transfer-Encoding: chunked", body=body)
            for body in (
                *(b"5\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n"),
                *(b"5;a=b\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n"),
                *(b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n"),
                *(b"5\r\nhello0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n"),
                *(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n", b"5\r\nhello\r\n00\r\n\r\n"),
                *(b"-1\r\n\r\n", b"fffffffff\r\n", b"\r\nhello\r\n0\r\n\r\n"),
                *(b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\n0\r\n\r\n"),
                *(
                    b"0000000000000005\r\nhello\r\n0\r\n\r\n",
                    b"5\r\rhello\r\n0\r\n\r\n",
                ),
            )
        ),
        # Lines.
        b"POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\n Content-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\n Host: x\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET /\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a?b=c&d HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        # Fields.
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \t c \t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: \xe9\xff\r\n\r\n",
        # Switches and ends.
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        _post(
            b"Upgrade: h2c",
            b"Connection: Upgrade, HTTP2-Settings",
            b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
            b"Content-Length: 5",
            body=b"hello",
        ),
        _post(b"Connection: close", b"Content-Length: 5", body=b"hello"),
        _post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        _post(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello"),
        b"GET / HTTP/1.0\r\n\r\n",
        # Sizes.
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        _post(*(b"A%d: b" % number for number in range(200))),
        _post(b"Content-Length: 99999999999999999999", body=b"hello"),
    )
)

_METHODS = st.sampled_from(
    [b"GET", b"POST"] * 4
    + [b"GET", b"POST", b"DELETE", b"PUT", b"HEAD", b"BREW", b"post"]
)
_TARGETS = st.sampled_from(
    [b"/", b"/a?b"] * 4
    + [b"/", b"/a?b", b"/servers/x/mcp", b"*", b"a", b"/a b", b"/\x7f"]
)
_VERSIONS = st.sampled_from([b"HTTP/1.1"] * 20 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1"])
_NAMES = st.sampled_from(
    [
        *(b"Content-Length", b"content-length", b"Transfer-Encoding", b"Host"),
        *(b"Connection", b"X-A", b"Content-Length ", b" X", b"X\t", b"Expect"),
        *(b"Authorization", b"Mcp-Session-Id", b"Upgrade", b"Trailer", b"TE"),
    ]
)
_VALUES = st.one_of(
    st.sampled_from(
        [
            *(b"0", b"3", b"5", b" 5", b"05", b"5,5", b"chunked", b"identity", b"x"),
            *(b"close", b"keep-alive", b"keep-alive, close", b"100-continue", b"h2c"),
            *(b"Chunked", b"chunked ", b"gzip, chunked", b"a\r\n b", b"a\rb", b"\x00"),
        ]
    ),
    st.binary(max_size=8),
)
_BREAKS = st.sampled_from([b"\r\n"] * 60 + [b"\n", b"\r", b"\r\r\n"])
_SIZES = st.sampled_from(
    [b"3", b"03", b"3;x", b"3 ", b" 3", b"0x3", b"G", b"-3", b"3\t"]
)
_CHUNKED = st.lists(
    st.one_of(
        st.just(b"3\r\nabc\r\n"),
        st.tuples(
            _SIZES, _BREAKS, st.sampled_from([b"abc", b"ab", b"abcd"]), _BREAKS
        ).map(b"".join),
    ),
    max_size=3,
).map(b"".join)
_ENDS = st.sampled_from(
    [b"0\r\n\r\n"] * 4 + [b"0\r\nX: y\r\n\r\n", b"0\n\n", b"0\r\n", b""]
)
_BODIES = st.one_of(
    st.just(b""),
    st.sampled_from([b"abc", b"hello", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]),
    st.tuples(_CHUNKED, _ENDS).map(b"".join),
)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    line = b" ".join([draw(_METHODS), draw(_TARGETS), draw(_VERSIONS)])
    fields = [b"Host: x"] if draw(st.integers(0, 9)) else []
    further = st.tuples(_NAMES, st.just(b":"), _VALUES).map(b"".join)
    fields += draw(st.lists(further, max_size=2))
    text = line + draw(_BREAKS)
    for item in fields:
        text += item + draw(_BREAKS)
    text += draw(_BREAKS)
    return text + draw(_BODIES)


@st.composite
def _sound(draw: st.DrawFn) -> bytes:
    """Make a request with nothing wrong, so that what follows it is read."""
    body = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        return _post(b"Content-Length: %d" % len(body), body=body)
    middle = draw(st.integers(0, len(body)))
    chunks = [
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (body[:middle], body[middle:])
        if part
    ]
    return _post(b"Transfer-Encoding: chunked", body=b"".join(chunks) + b"0\r\n\r\n")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Take a stream of the corpus, or one that is good, and change a few of its bytes."""
    text = bytearray(
        draw(st.sampled_from([item for item in CORPUS if len(item) < 500]))
    )
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text) - 1))
        done = draw(st.sampled_from(["replace", "insert", "remove"]))
        some = draw(
            st.sampled_from(
                [b"\r", b"\n", b" ", b"\t", b"\x00", b"0", b":", b";", b"a"]
            )
        )
        text[place : place + (done != "insert")] = b"" if done == "remove" else some
        if not text:
            break
    return bytes(text)


STREAMS = st.lists(
    st.one_of(_sound(), _requests(), _damaged()), min_size=1, max_size=3
).map(b"".join)
CUTS = st.lists(st.integers(0, 600), max_size=6)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Return ``stream`` in pieces, cut at the given places."""
    ends = [
        0,
        *sorted({place for place in places if 0 < place < len(stream)}),
        len(stream),
    ]
    return [stream[start:end] for start, end in pairwise(ends)]
