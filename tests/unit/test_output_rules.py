"""Output: what a record is, what counts as a flood, and what was read before."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.output.flood import Flood
from appliance.output.model import (
    Batch,
    Filter,
    Line,
    Position,
    Printed,
    Stream,
    moment,
    nanoseconds,
)
from appliance.output.progress import Mark, Repeats
from appliance.output.records import decode, encode, fingerprint, matcher
from appliance.output.watchers import Watchers
from appliance.runtimes.docker_printing import Moments

SECOND = 1_000_000_000
AT = nanoseconds(datetime(2026, 1, 1, tzinfo=UTC))


def _printed(text: str, at_ns: int = AT, stream: Stream = Stream.STDERR) -> Printed:
    return Printed(at_ns, stream, text, 7, "c0ffeec0ffee", "5e55")


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_a_record_gives_back_its_line(text: str) -> None:
    line = _printed(text)

    record = encode(line)

    assert record.endswith(b"\n")
    assert record.count(b"\n") == 1
    assert decode(record[:-1]) == line


@pytest.mark.parametrize(
    "record", [b"", b"x", b"1 e 7 c", b"1 z 7 c - text", b"a e 7 c - t"]
)
def test_what_is_no_record_is_no_line(record: bytes) -> None:
    assert decode(record) is None


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(text="BROKE"), True),
        (Filter(text="c0ffee"), False),
        (Filter(text="ÄRGER"), True),
        (Filter(stream=Stream.STDOUT), False),
        (Filter(deployment_id=7), True),
        (Filter(deployment_id=8), False),
        (Filter(session="5e"), True),
        (Filter(since=moment(AT)), True),
        (Filter(since=moment(AT + 1000)), False),
        (Filter(until=moment(AT)), False),
    ],
)
def test_a_filter_matches_texts_in_any_case_and_no_other_field(
    wanted: Filter,
    matches: bool,  # noqa: FBT001 - parametrized
) -> None:
    record = encode(_printed("It broke, was für ein Ärger"))[:-1]

    assert matcher(wanted)(record) is matches


def test_positions_are_read_as_they_are_written_and_grow() -> None:
    assert Position.parse(str(Position(3, 14))) == Position(3, 14)
    assert Position.parse("3") is None
    assert Position(1, 999) < Position(2, 0)


def test_a_flood_is_counted_by_the_seconds_of_its_lines() -> None:
    flood = Flood(lines=2, size_bytes=1000)

    kept = [flood.admits(AT + number, 10) for number in range(5)]
    assert kept == [True, True, False, False, False]
    assert not flood.is_over(AT + 5)
    assert flood.is_over(AT + SECOND)
    assert flood.take() == "3 lines dropped: more than 2 lines or 0 KiB a second."
    assert flood.admits(AT + SECOND, 10)


def test_what_was_kept_by_the_engine_is_no_flood_when_it_is_read_at_once() -> None:
    flood = Flood(lines=2, size_bytes=1000)

    assert all(flood.admits(AT + number * SECOND // 2, 10) for number in range(100))


def test_lines_that_were_stored_are_known_again_and_those_of_the_same_moment_are_not() -> (
    None
):
    mark = Mark().with_line(AT - 5, 1).with_line(AT, 2)
    repeats = Repeats(mark)

    assert repeats.has(AT - 5, 1)
    assert repeats.has(AT, 2)
    assert not repeats.has(AT, 3)
    assert not repeats.has(AT + 1, 2)


def test_a_line_that_the_engine_repeats_when_it_turns_its_file_is_taken_once() -> None:
    repeats = Repeats(Mark())

    assert [repeats.has(AT, 1), repeats.has(AT + 1, 2), repeats.has(AT + 1, 2)] == [
        False,
        False,
        True,
    ]


def test_a_clock_that_jumps_back_loses_no_line() -> None:
    repeats = Repeats(Mark())

    assert not repeats.has(AT, 1)
    assert not repeats.has(AT - 3600 * SECOND, 2)


def test_the_engines_moments_keep_their_nanoseconds() -> None:
    found = Moments().split(
        b"2026-01-01T00:00:00.000000042Z two words\r\n", is_stderr=True
    )

    assert found == (AT + 42, True, b"two words")


def test_a_line_without_a_moment_keeps_its_text() -> None:
    assert (
        Moments().split(b"no moment here\n", is_stderr=False).text == b"no moment here"
    )


async def test_a_slow_watcher_is_told_how_much_it_missed_and_keeps_no_more() -> None:
    watchers = Watchers()
    slow, quick = watchers.add(1), watchers.add(1)
    batch = Batch(tuple(Line(Position(1, n), _printed("x")) for n in range(1000)))

    for _ in range(10):
        watchers.hand_out(1, batch)
        assert await anext(quick) is batch
    found = [await anext(slow) for _ in range(5)]

    assert [len(item.lines) for item in found] == [1000] * 4 + [0]
    assert found[-1].missed == 6000
    watchers.end(1)
    with pytest.raises(StopAsyncIteration):
        await anext(slow)


def test_texts_of_one_nanosecond_are_told_apart() -> None:
    assert fingerprint("a") != fingerprint("b")
