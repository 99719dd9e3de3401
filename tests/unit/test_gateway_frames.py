"""The engine's frames and the lines in them come out the same however they were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.bridge.frames import (
    STDERR,
    STDOUT,
    Demultiplexer,
    FrameError,
    LineSplitter,
    Overlong,
)

FRAMES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)), max_size=8
)
CUTS = st.lists(st.integers(1, 9), min_size=1)


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def cut(whole: bytes, sizes: list[int]) -> list[bytes]:
    pieces, position, turn = [], 0, 0
    while position < len(whole):
        size = sizes[turn % len(sizes)]
        pieces.append(whole[position : position + size])
        position, turn = position + size, turn + 1
    return pieces


@given(FRAMES, CUTS)
def test_each_stream_is_whole_however_frames_are_cut(
    frames: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    demultiplexer = Demultiplexer()
    found = {STDOUT: b"", STDERR: b""}

    for piece in cut(b"".join(frame(*item) for item in frames), sizes):
        for stream, payload in demultiplexer.feed(piece):
            found[stream] += payload

    for stream, whole in found.items():
        assert whole == b"".join(payload for kind, payload in frames if kind == stream)


@pytest.mark.parametrize(
    "header", [b"\x03\0\0\0\0\0\0\x01", b"\x01\0\0\x01\0\0\0\x01", b"HTTP/1.1"]
)
def test_what_is_no_frame_is_refused(header: bytes) -> None:
    with pytest.raises(FrameError):
        list(Demultiplexer().feed(header))


@given(
    st.lists(
        st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8
    ),
    CUTS,
)
def test_lines_are_whole_however_they_are_cut(
    lines: list[bytes], sizes: list[int]
) -> None:
    splitter = LineSplitter(30)

    found = [
        line
        for piece in cut(b"".join(line + b"\n" for line in lines), sizes)
        for line in splitter.feed(piece)
    ]

    assert found == lines


@given(st.integers(0, 60), CUTS)
def test_a_line_is_overlong_exactly_beyond_the_limit_and_the_next_is_not(
    length: int, sizes: list[int]
) -> None:
    splitter = LineSplitter(30)

    found = [
        line
        for piece in cut(b"x" * length + b"\nnext\n", sizes)
        for line in splitter.feed(piece)
    ]

    assert isinstance(found[0], Overlong) == (length > 30)
    assert found[1] == b"next"


def test_both_ends_of_an_overlong_line_are_kept() -> None:
    splitter = LineSplitter(1000)

    (line,) = splitter.feed(b"head" + b"x" * 5000 + b"tail\n")

    assert isinstance(line, Overlong)
    assert line.head.startswith(b"head")
    assert line.tail.endswith(b"tail")
    assert len(line.head) + len(line.tail) < 1100
