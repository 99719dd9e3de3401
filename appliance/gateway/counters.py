"""Figures that all processes of the gateway count in one piece of shared memory, so that any worker can tell the sum.

Made by the master before it forks. Each process has a row of its own, so nobody waits for anybody; a successor goes on in
the row of the one it replaces.
"""

import mmap
from bisect import bisect_right
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

#: Upper bounds in seconds; the last bucket holds the rest.
BUCKETS_S = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
)


class Counter(IntEnum):
    """What is counted."""

    CALLS_OK = 0
    CALLS_REFUSED = 1
    CALLS_FAILED = 2
    STREAMS_OPENED = 3
    STREAMS_CLOSED = 4
    ROUTE_LOADS = 5
    DURATION_NS = 6
    #: In the spool, lost for want of room there, and in the database.
    TRACES_SPOOLED = 7
    TRACES_DROPPED = 8
    TRACES_COPIED = 9
    #: As the scribe saw it last: bytes in the spool, and the age of the oldest trace that waits.
    SPOOL_BYTES = 10
    TRACE_LAG_MS = 11


_FIRST_BUCKET = len(Counter)
_WIDTH = len(Counter) + len(BUCKETS_S) + 1
_BYTES = 8
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class Counted(Protocol):
    """A call that is over."""

    @property
    def http_status(self) -> int:
        """Of the answer."""
        ...

    @property
    def duration_s(self) -> float:
        """How long it took."""
        ...


class Refused(NamedTuple):
    """A call that was refused at the door."""

    http_status: int
    duration_s: float


class Counters:
    """All rows; ``row`` makes the object that one process counts with.

    Args:
        processes: How many rows there are.
    """

    def __init__(self, processes: int) -> None:
        """Map zeroed memory that children share."""
        self._cells = memoryview(
            mmap.mmap(-1, max(1, processes) * _WIDTH * _BYTES)
        ).cast("Q")

    def row(self, index: int) -> "CounterRow":
        """Return the row of process ``index``."""
        return CounterRow(self, self._cells[index * _WIDTH : (index + 1) * _WIDTH])

    def total(self) -> list[int]:
        """Return the sum of all rows, cell by cell."""
        return [sum(self._cells[cell::_WIDTH]) for cell in range(_WIDTH)]

    def render(self) -> str:
        """Return the sums as Prometheus text."""
        total = self.total()
        lines = [
            "# TYPE mcp_gateway_calls_total counter",
            f'mcp_gateway_calls_total{{outcome="ok"}} {total[Counter.CALLS_OK]}',
            f'mcp_gateway_calls_total{{outcome="refused"}} {total[Counter.CALLS_REFUSED]}',
            f'mcp_gateway_calls_total{{outcome="failed"}} {total[Counter.CALLS_FAILED]}',
            "# TYPE mcp_gateway_streams gauge",
            f"mcp_gateway_streams {total[Counter.STREAMS_OPENED] - total[Counter.STREAMS_CLOSED]}",
            "# TYPE mcp_gateway_route_loads_total counter",
            f"mcp_gateway_route_loads_total {total[Counter.ROUTE_LOADS]}",
            "# TYPE mcp_gateway_traces_total counter",
            f'mcp_gateway_traces_total{{outcome="spooled"}} {total[Counter.TRACES_SPOOLED]}',
            f'mcp_gateway_traces_total{{outcome="dropped"}} {total[Counter.TRACES_DROPPED]}',
            f'mcp_gateway_traces_total{{outcome="copied"}} {total[Counter.TRACES_COPIED]}',
            "# TYPE mcp_gateway_trace_spool_bytes gauge",
            f"mcp_gateway_trace_spool_bytes {total[Counter.SPOOL_BYTES]}",
            "# TYPE mcp_gateway_trace_lag_seconds gauge",
            f"mcp_gateway_trace_lag_seconds {total[Counter.TRACE_LAG_MS] / 1000}",
            "# TYPE mcp_gateway_call_duration_seconds histogram",
        ]
        below = 0
        for bound, count in zip(
            (*BUCKETS_S, "+Inf"), total[len(Counter) :], strict=True
        ):
            below += count
            lines.append(
                f'mcp_gateway_call_duration_seconds_bucket{{le="{bound}"}} {below}'
            )
        lines.append(f"mcp_gateway_call_duration_seconds_count {below}")
        lines.append(
            f"mcp_gateway_call_duration_seconds_sum {total[Counter.DURATION_NS] / 1e9}"
        )
        return "\n".join(lines) + "\n"


class CounterRow:
    """What one process counts."""

    def __init__(self, counters: Counters, cells: memoryview) -> None:
        """Keep the row, and all of them for the sum."""
        self.counters = counters
        self._cells = cells

    def add(self, counter: Counter, amount: int = 1) -> None:
        """Count."""
        self._cells[counter] += amount

    def set(self, gauge: Counter, value: int) -> None:
        """Replace a figure that one process alone tells."""
        self._cells[gauge] = value

    def calls(self, batch: "Sequence[Counted]") -> None:
        """Count calls, and how long each took: many at once cost little more than one."""
        cells = self._cells
        durations = sorted([item.duration_s for item in batch])
        bad = [item.http_status for item in batch if item.http_status >= _CLIENT_ERROR]
        failed = len([status for status in bad if status >= _SERVER_ERROR])
        cells[Counter.CALLS_OK] += len(batch) - len(bad)
        cells[Counter.CALLS_REFUSED] += len(bad) - failed
        cells[Counter.CALLS_FAILED] += failed
        cells[Counter.DURATION_NS] += int(sum(durations) * 1e9)
        below = 0
        for bucket, bound in enumerate(BUCKETS_S):
            if below == len(durations):
                return
            up_to = bisect_right(durations, bound, below)
            cells[_FIRST_BUCKET + bucket] += up_to - below
            below = up_to
        cells[_FIRST_BUCKET + len(BUCKETS_S)] += len(durations) - below
