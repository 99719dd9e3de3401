"""The files of servers' output: what was written is there after every end of the process, in order, once."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.output import search, segments
from appliance.output.book import Book
from appliance.output.model import (
    Filter,
    Position,
    Printed,
    Stream,
    moment,
    nanoseconds,
)
from appliance.output.shelf import Shelf

AT = nanoseconds(datetime(2026, 1, 1, tzinfo=UTC))
SECOND = 1_000_000_000
WRITER = """
import sys
from pathlib import Path
from appliance.output.book import Book
from appliance.output.model import Printed, Stream
book = Book(Path(sys.argv[1]), segment_bytes=200_000)
number = 0
while True:
    book.append([Printed(number + n + 1, Stream.STDERR, f"line {number + n}", 1, "c0ffeec0ffee") for n in range(20)])
    number += 20
"""


def _printed(number: int, text: str = "", container: str = "c0ffeec0ffee") -> Printed:
    return Printed(
        AT + number * SECOND, Stream.STDERR, text or f"line {number}", 1, container
    )


def _texts(
    directory: Path, wanted: Filter | None = None, limit: int = 100_000
) -> list[str]:
    found = search.after(directory, Position(0, 0), wanted or Filter(), limit)
    return [line.printed.text for line in found.items]


def _filled(directory: Path, lines: int, segment_bytes: int = 2000) -> Book:
    book = Book(directory, segment_bytes=segment_bytes)
    for number in range(lines):
        book.append([_printed(number)])
    return book


def test_kill_9_in_mid_write_costs_nothing_that_was_written_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    place = tmp_path / "1"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(place)])
        deadline = time.monotonic() + 20
        while not segments.listed(place) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        before = _texts(place)
        newest = segments.listed(place)[-1]
        with newest.path.open("ab") as file:
            file.write(b"123 e 1 c0ffee")  # as a write that was cut

        book = Book(place, segment_bytes=200_000)
        stored = book.append([_printed(9, "after the crash")])

        assert _texts(place) == [*before, "after the crash"]
        assert book.mark("c0ffeec0ffee").at_ns == AT + 9 * SECOND
        assert stored[0].position == book.end
        for item in segments.listed(place):
            item.path.unlink()


def test_pages_go_back_and_forth_over_segments_without_gap_or_double(
    tmp_path: Path,
) -> None:
    _filled(tmp_path, 100)
    segments.tidy(tmp_path, before_ns=0, max_bytes=10**9)
    assert len(segments.listed(tmp_path)) > 2

    back: list[str] = []
    position: Position | None = None
    while True:
        page = search.before(tmp_path, position, Filter(), 7)
        back = [line.printed.text for line in page.items] + back
        position = page.older
        if position is None:
            break
    again = search.after(tmp_path, Position(0, 0), Filter(), 40)
    assert again.newer
    rest = search.after(tmp_path, again.newer, Filter(), 100)

    everything = [f"line {number}" for number in range(100)]
    assert back == everything
    assert [line.printed.text for line in again.items + rest.items] == everything


def test_a_search_finds_text_time_and_container_of_compressed_segments(
    tmp_path: Path,
) -> None:
    _filled(tmp_path, 100)
    segments.tidy(tmp_path, before_ns=0, max_bytes=10**9)

    text = search.before(tmp_path, None, Filter(text="LINE 42"), 10)
    window = Filter(since=moment(AT + 10 * SECOND), until=moment(AT + 12 * SECOND))

    assert [line.printed.text for line in text.items] == ["line 42"]
    assert _texts(tmp_path, window) == ["line 10", "line 11"]


def test_a_search_reads_a_bounded_amount_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(tmp_path, 100)
    monkeypatch.setattr(search, "SCAN_BYTES", 1500)

    found: list[str] = []
    position: Position | None = None
    pages = 0
    while pages == 0 or position is not None:
        page = search.before(tmp_path, position, Filter(text="line 1"), 100)
        found = [line.printed.text for line in page.items] + found
        position = page.older
        pages += 1

    assert pages > 2
    assert found == ["line 1", *[f"line {number}" for number in range(10, 20)]]


def test_how_far_each_container_was_read_outlives_segments_and_restarts(
    tmp_path: Path,
) -> None:
    book = Book(tmp_path, segment_bytes=2000)
    book.append([_printed(1, container="aaaaaaaaaaaa")])
    for number in range(2, 100):
        book.append([_printed(number)])

    again = Book(tmp_path, segment_bytes=2000)

    assert again.mark("aaaaaaaaaaaa").at_ns == AT + SECOND
    assert again.mark("c0ffeec0ffee") == book.mark("c0ffeec0ffee")
    assert again.end == book.end


def test_old_lines_go_by_age_even_of_a_server_that_fell_silent(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=10**9)
    shelf.write({5: [_printed(1)]})
    later = moment(AT) + timedelta(days=30)

    shelf.turn_older(later)
    shelf.tidy_all(before=later, servers={5})

    assert _texts(shelf.place(5)) == []
    assert shelf.mark(5, "c0ffeec0ffee").at_ns == AT + SECOND


def test_the_oldest_lines_go_when_there_are_too_many(tmp_path: Path) -> None:
    book = _filled(tmp_path, 500)

    segments.tidy(tmp_path, before_ns=0, max_bytes=3000)

    texts = _texts(tmp_path)
    assert texts[-1] == "line 499"
    assert 0 < len(texts) < 500
    assert search.has_gap(tmp_path, Position(1, 10))
    assert not search.has_gap(tmp_path, book.end)


def test_the_log_of_a_server_that_is_no_more_is_removed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=10**9)
    shelf.write({5: [_printed(1)], 6: [_printed(1)]})

    shelf.tidy_all(before=moment(0), servers={6})

    assert [path.name for path in tmp_path.iterdir()] == ["6"]


def test_a_disk_that_takes_nothing_is_said_and_leaves_no_piece(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=10**9)
    shelf.write({5: [_printed(1)]})
    path = segments.listed(shelf.place(5))[0].path
    path.rename(path.with_name("kept"))
    path.mkdir()

    stored = shelf.write({5: [_printed(2)], 6: [_printed(2)]})

    assert isinstance(stored[5], OSError)
    assert isinstance(stored[6], list)


def test_files_are_ours_alone(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "output", max_bytes=10**9)
    shelf.write({5: [_printed(1)]})

    found = [
        tmp_path / "output",
        shelf.place(5),
        segments.listed(shelf.place(5))[0].path,
    ]

    assert [path.stat().st_mode & 0o077 for path in found] == [0, 0, 0]
