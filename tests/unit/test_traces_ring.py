"""The worker's end of a trace: in order, within bounds, and never in the way."""

import asyncio
import fcntl
from pathlib import Path

import msgspec
import pytest

from appliance.gateway.traces import ring as ring_module
from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.ring import BATCH_ROWS, Ring
from appliance.gateway.traces.segments import Segments
from appliance.gateway.traces.spool import SUFFIX, Spool
from tests.fakes.trace_processes import invocation

PLENTY = 1024 * 1024


def spooled(directory: Path) -> list[str]:
    """The targets of all rows in the spool, in order."""
    return [row.target for row in Segments(directory).read().rows]


@pytest.fixture(autouse=True)
def _unblocked_loop() -> None:
    """Let the loop write: to the page cache, in batches that take well below a millisecond, is the ring's purpose."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "traces"


async def test_what_was_added_is_in_the_spool_a_moment_later(directory: Path) -> None:
    ring = Ring(Spool(directory, PLENTY), asyncio.get_running_loop())
    ring.add(invocation(1))

    await asyncio.sleep(0.05)

    assert spooled(directory) == ["tool-1"]
    ring.close()


async def test_a_burst_is_written_in_batches_and_in_order(directory: Path) -> None:
    counted: list[int] = []
    ring = Ring(
        Spool(directory, PLENTY), asyncio.get_running_loop(), spooled=counted.append
    )
    count = 3 * BATCH_ROWS + 7
    for number in range(count):
        ring.add(invocation(number))

    await asyncio.sleep(0.1)

    assert spooled(directory) == [f"tool-{n}" for n in range(count)]
    assert max(counted) == BATCH_ROWS
    assert sum(counted) == count
    ring.close()


async def test_large_bodies_make_small_batches(directory: Path) -> None:
    counted: list[int] = []
    ring = Ring(
        Spool(directory, 64 * PLENTY),
        asyncio.get_running_loop(),
        spooled=counted.append,
    )
    for number in range(64):
        ring.add(invocation(number, request=b"x" * 64 * 1024))

    await asyncio.sleep(0.2)

    assert max(counted) == 4
    assert sum(counted) == 64
    ring.close()


async def test_closing_writes_what_is_left(directory: Path) -> None:
    ring = Ring(Spool(directory, PLENTY), asyncio.get_running_loop())
    for number in range(BATCH_ROWS + 1):
        ring.add(invocation(number))

    ring.close()

    assert len(spooled(directory)) == BATCH_ROWS + 1


async def test_a_header_that_is_no_text_costs_its_own_row_alone(
    directory: Path,
) -> None:
    dropped: list[int] = []
    ring = Ring(
        Spool(directory, PLENTY), asyncio.get_running_loop(), dropped=dropped.append
    )
    ring.add(invocation(1))
    ring.add(invocation(2, traceparent="\udcff"))
    ring.add(invocation(3))

    ring.close()

    assert spooled(directory) == ["tool-1", "tool-3"]
    assert dropped == [1]


async def test_a_spool_without_room_drops_and_counts(directory: Path) -> None:
    dropped: list[int] = []
    ring = Ring(
        Spool(directory, 100), asyncio.get_running_loop(), dropped=dropped.append
    )
    for number in range(5):
        ring.add(invocation(number))

    ring.close()

    assert dropped == [5]


async def test_a_stuck_spool_does_not_fill_the_memory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_module, "MOST_ROWS", 300)
    dropped: list[int] = []
    ring = Ring(
        Spool(directory, PLENTY), asyncio.get_running_loop(), dropped=dropped.append
    )
    for number in range(1000):
        ring.add(invocation(number))

    await asyncio.sleep(0.1)
    ring.close()

    found = spooled(directory)
    assert sum(dropped) == 500
    assert found == [f"tool-{n}" for n in range(500)]


def test_a_removed_segment_is_followed_by_another(directory: Path) -> None:
    spool = Spool(directory, PLENTY)
    encode = msgspec.msgpack.encode
    assert spool.append(encode([invocation(1)]))
    reader = Segments(directory)
    piece = reader.read()
    reader.positions |= piece.positions

    removed = reader.remove_finished(rest_s=-60)
    assert spool.append(encode([invocation(2)]))

    assert len(removed) == 1
    assert [row.target for row in reader.read().rows] == ["tool-2"]
    spool.close()


def test_a_segment_with_something_new_is_not_removed(directory: Path) -> None:
    spool = Spool(directory, PLENTY)
    encode = msgspec.msgpack.encode
    spool.append(encode([invocation(1)]))
    reader = Segments(directory)
    reader.positions |= reader.read().positions
    spool.append(encode([invocation(2)]))

    assert reader.remove_finished(rest_s=-60) == []
    spool.close()


def test_a_segment_that_is_being_written_to_is_not_removed(directory: Path) -> None:
    spool = Spool(directory, PLENTY)
    spool.append(msgspec.msgpack.encode([invocation(1)]))
    reader = Segments(directory)
    reader.positions |= reader.read().positions

    with next(directory.glob(f"*{SUFFIX}")).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as the writer does
        kept = reader.remove_finished(rest_s=-60)

    assert kept == []
    assert len(reader.remove_finished(rest_s=-60)) == 1
    spool.close()


def test_a_writer_does_not_wait_for_a_segment_that_is_being_removed(
    directory: Path,
) -> None:
    spool = Spool(directory, PLENTY)
    spool.append(msgspec.msgpack.encode([invocation(1)]))

    with next(directory.glob(f"*{SUFFIX}")).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as the scribe does
        assert spool.append(msgspec.msgpack.encode([invocation(2)]))

    assert spooled(directory) == ["tool-1", "tool-2"]
    assert len(list(directory.glob(f"*{SUFFIX}"))) == 2
    spool.close()


def test_a_segment_that_just_got_something_rests_first(directory: Path) -> None:
    spool = Spool(directory, PLENTY)
    spool.append(msgspec.msgpack.encode([invocation(1)]))
    reader = Segments(directory)
    reader.positions |= reader.read().positions

    assert reader.remove_finished(rest_s=60) == []
    spool.close()


def test_a_large_segment_is_followed_by_another(directory: Path) -> None:
    spool = Spool(directory, 16 * 1000)
    for number in range(50):
        spool.append(msgspec.msgpack.encode([invocation(number)]))

    sizes = [path.stat().st_size for path in directory.glob(f"*{SUFFIX}")]
    assert len(sizes) > 3
    assert max(sizes) < 1500
    spool.close()


def test_a_batch_larger_than_a_chunk_is_read(directory: Path) -> None:
    rows = [invocation(n, request=b"x" * 60_000) for n in range(20)]
    spool = Spool(directory, 64 * PLENTY)
    spool.append(msgspec.msgpack.encode(rows))

    assert Segments(directory).read().rows == rows
    spool.close()


def test_fields_added_later_do_not_make_old_rows_unreadable() -> None:
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(invocation(1)))[:14]

    assert msgspec.convert(old, Invocation).request == b""
