"""Looking through a server's log, from either end. Everything here blocks and reads a bounded number of bytes."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from appliance.output import segments
from appliance.output.model import Filter, Line, Page, Position, nanoseconds
from appliance.output.records import decode, matcher
from appliance.output.segments import Segment

#: Bytes that one page looks through; its cursor goes on from there.
SCAN_BYTES = 24 * 1024 * 1024
#: A segment that is closed or compressed while it is opened has another name then.
TRIES = 3

Records = Iterator[tuple[int, bytes]]


def before(
    directory: Path, position: Position | None, wanted: Filter, limit: int
) -> Page:
    """Return the last ``limit`` lines that match and end at or before ``position``; ``None``: the last of all."""
    found: list[Line] = []
    matches = matcher(wanted)
    left = SCAN_BYTES
    older = None
    for end, record in _backward(directory, position, wanted):
        if len(found) == limit or left <= 0:
            older = end
            break
        left -= len(record) + 1
        if matches(record) and (printed := decode(record)):
            found.append(Line(end, printed))
    found.reverse()
    newer = found[-1].position if found else position
    return Page(found, older, newer, is_partial=older is not None and left <= 0)


def after(directory: Path, position: Position, wanted: Filter, limit: int) -> Page:
    """Return the first ``limit`` lines that match and begin at or after ``position``."""
    found: list[Line] = []
    matches = matcher(wanted)
    left = SCAN_BYTES
    last = position
    for end, record in _forward(directory, position, wanted):
        if len(found) == limit or left <= 0:
            break
        left -= len(record) + 1
        last = end
        if matches(record) and (printed := decode(record)):
            found.append(Line(end, printed))
    known = segments.listed(directory)
    is_first = not known or (known[0].number, 0) >= (position.segment, position.offset)
    return Page(found, None if is_first else position, last, is_partial=left <= 0)


def has_gap(directory: Path, position: Position) -> bool:
    """Return whether lines right after ``position`` are no longer kept."""
    known = segments.listed(directory)
    return bool(known) and known[0].number > position.segment


def _backward(
    directory: Path, position: Position | None, wanted: Filter
) -> Iterator[tuple[Position, bytes]]:
    for segment in reversed(_candidates(directory, wanted)):
        end = None
        if position is not None:
            if segment.number > position.segment:
                continue
            end = position.offset if segment.number == position.segment else None
        read = partial(segments.backward, end=end)
        for offset, record in _opened(directory, segment, read):
            yield Position(segment.number, offset), record


def _forward(
    directory: Path, position: Position, wanted: Filter
) -> Iterator[tuple[Position, bytes]]:
    for segment in _candidates(directory, wanted):
        if segment.number < position.segment:
            continue
        start = position.offset if segment.number == position.segment else 0
        read = partial(segments.forward, start=start)
        for offset, record in _opened(directory, segment, read):
            yield Position(segment.number, offset), record


def _candidates(directory: Path, wanted: Filter) -> list[Segment]:
    since = nanoseconds(wanted.since) if wanted.since else None
    until = nanoseconds(wanted.until) if wanted.until else None
    return [item for item in segments.listed(directory) if item.may_hold(since, until)]


def _opened(
    directory: Path, segment: Segment, read: Callable[[Segment], Records]
) -> Records:
    """Yield the records of a segment, whatever it is called by now; none if it was removed."""
    found: Segment | None = segment
    for _ in range(TRIES):
        if found is None:
            return
        records = read(found)
        try:
            first = next(records, None)
        except FileNotFoundError:
            same = (
                item
                for item in segments.listed(directory)
                if item.number == segment.number
            )
            found = next(same, None)
            continue
        if first is not None:
            yield from itertools.chain([first], records)
        return
