"""Responses are read the same however they are cut, and what is ambiguous is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.http.responses import HEAD_LIMIT, ResponseError, ResponseReader

BODIES = st.lists(st.binary(min_size=1, max_size=30), max_size=5)
CUTS = st.lists(st.integers(1, 11), min_size=1)


def read(whole: bytes, sizes: list[int] | None = None) -> tuple[ResponseReader, bytes]:
    parts: list[bytes] = []
    reader = ResponseReader(parts.append)
    position, turn = 0, 0
    while position < len(whole):
        size = sizes[turn % len(sizes)] if sizes else len(whole)
        reader.feed(whole[position : position + size])
        position, turn = position + size, turn + 1
    return reader, b"".join(parts)


@given(BODIES, CUTS)
def test_a_body_of_known_length_is_whole_however_it_is_cut(
    pieces: list[bytes], sizes: list[int]
) -> None:
    body = b"".join(pieces)

    reader, found = read(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), sizes
    )

    assert (found, reader.is_done) == (body, True)


@given(BODIES, CUTS)
def test_chunks_are_put_together_however_they_are_cut(
    pieces: list[bytes], sizes: list[int]
) -> None:
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)

    reader, found = read(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\nTrailer: x\r\n\r\n"
        % chunks,
        sizes,
    )

    assert (found, reader.is_done) == (b"".join(pieces), True)


@given(BODIES, CUTS)
def test_a_body_without_length_ends_with_the_connection(
    pieces: list[bytes], sizes: list[int]
) -> None:
    reader, found = read(b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(pieces), sizes)
    was_done = reader.is_done

    reader.feed_eof()

    assert (was_done, reader.is_done) == (False, True)
    assert found == b"".join(pieces)
    assert reader.head is not None
    assert not reader.head.is_reusable


@given(st.binary(max_size=300))
def test_any_bytes_are_a_response_or_an_error(whole: bytes) -> None:
    try:
        reader, _ = read(whole)
        reader.feed_eof()
    except ResponseError:
        return
    assert reader.is_done


def test_informational_responses_are_passed_over() -> None:
    reader, body = read(
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 X\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    )

    assert reader.head is not None
    assert (reader.head.status, body) == (200, b"x")


@pytest.mark.parametrize(
    "whole",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1 \xb2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        b"HTTP/1.1 600 No\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD_LIMIT,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(whole: bytes) -> None:
    with pytest.raises(ResponseError):
        read(whole)


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    ],
)
def test_half_a_response_does_not_pass_for_a_whole_one(whole: bytes) -> None:
    reader, _ = read(whole)

    with pytest.raises(ResponseError):
        reader.feed_eof()


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
    ],
)
def test_a_connection_is_used_again_only_when_the_server_keeps_it(
    head: bytes, *, reusable: bool
) -> None:
    reader, _ = read(head + b"\r\n\r\n")

    assert reader.head is not None
    assert reader.head.is_reusable is reusable
