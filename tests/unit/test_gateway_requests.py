"""Requests are read in one way or not at all; the listener answers them in order and within bounds."""

import pytest

from appliance.gateway.http.requests import ChunkReader, RequestError, parse_head
from tests.harness.http_parsers import ours, tagged
from tests.harness.http_streams import CORPUS
from tests.proofs.parser_fuzz import agree, fuzz

HEAD = b"POST /servers/a/mcp?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5"


def test_a_head_is_read_as_it_was_sent() -> None:
    head = parse_head(HEAD + b"\r\nX-A: \xc3\xa9 b ")

    assert (head.method, head.path, head.query_string) == (
        "POST",
        "/servers/a/mcp",
        "x=1",
    )
    assert head.content_length == 5
    assert head.headers["x-a"] == "é b"
    assert head.keeps_alive


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Host: y",
        b" folded: line",
        b"X : y",
        b"X: a\nY: b",
        b"X: a\rY",
        b"X: \x00",
        b"Upgrade: websocket",
        b"Expect: something",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(line: bytes) -> None:
    with pytest.raises(RequestError):
        parse_head(HEAD + b"\r\n" + line)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"x", True),
        (b"1.1", b"Close", False),
        (b"1.1", b"keep-alive, close", False),
        (b"1.0", b"x", False),
        (b"1.0", b"Keep-Alive", True),
    ],
)
def test_a_connection_is_kept_as_its_client_says(
    version: bytes, connection: bytes, *, kept: bool
) -> None:
    head = parse_head(
        b"GET / HTTP/%b\r\nHost: x\r\nConnection: %b" % (version, connection)
    )

    assert head.keeps_alive is kept


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_chunks_are_put_together_however_they_arrive(step: int) -> None:
    reader, rest = ChunkReader(100), b""
    stream = b"5\r\nhello\r\n00a\r\n, it is me\r\n0\r\n\r\nnext"

    for place in range(0, len(stream), step):
        rest = reader.feed(rest + stream[place : place + step])

    assert reader.is_done
    assert reader.body() == b"hello, it is me"
    assert stream.endswith(rest)


def test_chunks_over_the_limit_are_not_read_to_their_end() -> None:
    reader = ChunkReader(4)

    reader.feed(b"3\r\nabc\r\n2\r\n")

    assert reader.is_too_large
    assert not reader.is_done


def test_pipelined_requests_are_read_one_after_the_other() -> None:
    stream = (HEAD + b"\r\n\r\nhello") * 50

    reading = ours([stream[:700], stream[700:]])

    assert [message.body for message in reading.messages] == [b"hello"] * 50
    assert not reading.refusal


def test_a_head_that_does_not_end_is_refused() -> None:
    reading = ours([b"GET / HTTP/1.1\r\nHost: x\r\n"] + [b"X: y\r\n" * 1000] * 20)

    assert reading.messages == []
    assert reading.refusal == "The head is too long."


def test_what_is_cut_off_in_the_middle_of_a_request_is_none() -> None:
    whole = HEAD + b"\r\n\r\nhello"

    for end in range(len(whole)):
        assert ours([whole[:end]]).messages == []


def test_bytes_that_stop_a_byte_short_of_a_known_head_are_no_request() -> None:
    """A head that was seen before is looked up by the bytes before its end; without an end there is nothing to look up."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40"
    seen = head + b"\r\n\r\n" + b"b" * 40

    reading = ours([seen, head + b"\r"])

    assert len(reading.messages) == 1


@pytest.mark.parametrize("stream", CORPUS, ids=lambda stream: repr(stream[:60]))
def test_no_reader_of_aiohttps_understands_it_otherwise(stream: bytes) -> None:
    agree([stream])


def test_readers_agree_on_what_nobody_wrote_down() -> None:
    fuzz(100)


def from_our_proxy(request_id: bytes, rest: bytes = b"") -> bytes:
    head = b"POST /servers/a/mcp HTTP/1.1\r\nX-Request-ID: " + request_id
    return head + b"\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" + rest


def test_an_id_of_a_proxy_of_ours_leaves_heads_as_they_come_again() -> None:
    first, second = b"a1" * 16, b"b2" * 16

    reading, ids, learned = tagged([from_our_proxy(first), from_our_proxy(second)])

    assert ids == [first, second]
    assert learned == 1
    assert [message.headers for message in reading.messages] == [
        (("host", "a"), ("content-length", "2"))
    ] * 2


def test_an_id_is_found_however_a_request_is_cut() -> None:
    whole = from_our_proxy(b"c3" * 16)

    for at in range(1, len(whole)):
        reading, ids, learned = tagged([whole[:at], whole[at:]])

        assert (ids[-1], learned, len(reading.messages)) == (b"c3" * 16, 1, 1), at
        assert not reading.refusal


def test_what_is_no_id_stays_a_header() -> None:
    for strange in (
        b"",
        b"a" * 31,
        b"a" * 33,
        b"a" * 31 + b"-",
        b"a" * 16 + b"\r\nX: " + b"b" * 12,
    ):
        reading, ids, _ = tagged([from_our_proxy(strange)])

        assert ids == [b""]
        assert "x-request-id" in dict(reading.messages[0].headers)
