"""What is said of what runs short, and from where on it is a warning. Pure.

Each rule returns a sentence when all is well, and raises with what to do when it is not.
"""

from collections.abc import Mapping, Sequence

from appliance.core.units import size
from appliance.infra.disk_space import Room
from appliance.infra.supervision import ProgramState
from appliance.pressure.errors import PressureError
from appliance.pressure.model import ClockMove, Connections, Limits, Memory, Process

#: Of the file system that RUN_DIR is on, which is often small and in memory.
RUN_LOW_PERCENT = 10
#: A trend is believed after so long, and looked for in no more than this.
TREND_AFTER_S, TREND_WITHIN_S = 600.0, 3600.0
#: Shorter than this is how clocks are kept right; a longer one is told for an hour.
MOVE_S, MOVE_TOLD_S = 60.0, 3600.0
APART_S = 5.0
_HOUR_S = 3600.0


def memory(found: Memory, limits: Limits) -> str:
    """Return how much memory is left.

    Raises:
        PressureError: Little.
    """
    left = f"{size(found.available_bytes)} of {size(found.total_bytes)} memory"
    share = 100 * found.available_bytes / max(1, found.total_bytes)
    if share < limits.memory_low_percent:
        raise PressureError(
            f"Only {left} can be had; below {limits.memory_low_percent:g} % (MEMORY_LOW_PERCENT) processes are soon killed.",
            hint="Stop servers, lower their memory limits, or give the box more.",
        )
    return f"{left} can be had."


def processes(found: Sequence[Process], limits: Limits) -> str:
    """Return how much the appliance's own processes take.

    Raises:
        PressureError: One takes very much, or will soon be able to open nothing more.
    """
    problems = [
        f"{item.name} takes {size(item.resident_bytes)} of memory"
        for item in found
        if item.resident_bytes > limits.process_memory_bytes
    ] + [
        f"{item.name} has {item.descriptors} of {item.max_descriptors} files and connections open"
        for item in found
        if 100 * item.descriptors > limits.used_percent * item.max_descriptors > 0
    ]
    if problems:
        raise PressureError(
            f"{'; '.join(problems)}.",
            hint="PROCESS_MEMORY_HIGH_MIB and USED_HIGH_PERCENT say from where on this is told.",
        )
    taken = sum(item.resident_bytes for item in found)
    return f"{len(found)} processes of the appliance take {size(taken)}."


def connections(found: Connections | None, limits: Limits) -> str:
    """Return how many of Postgres' connections are in use.

    Raises:
        PressureError: Nearly all.
    """
    if found is None:
        return "Postgres was not asked."
    words = f"{found.used} of {found.limit} connections of Postgres are in use"
    if 100 * found.used > limits.used_percent * found.limit:
        raise PressureError(
            f"{words}; without one nobody can do anything.",
            hint="Raise max_connections of Postgres, or lower DATABASE_POOL.",
        )
    return f"{words}."


def run_room(found: Room | None) -> str:
    """Return how much room there is for sockets and for traces on their way.

    Raises:
        PressureError: Little.
    """
    if found is None:
        return "RUN_DIR is not there yet."
    if 100 * found.free_bytes < RUN_LOW_PERCENT * found.total_bytes:
        raise PressureError(
            f"{found.words} (RUN_DIR).",
            hint="Traces wait there while Postgres is away; GW_TRACE_SPOOL_BYTES bounds them.",
        )
    return f"{found.words}."


def time(move: ClockMove | None, *, at: float, postgres_ahead_s: float) -> str:
    """Return how the clock goes.

    Raises:
        PressureError: Somebody set it lately, or Postgres has another.
    """
    if abs(postgres_ahead_s) > APART_S:
        raise PressureError(
            f"Postgres' clock is {_span(postgres_ahead_s)} of the hub's.",
            hint="Have both boxes keep their time by NTP.",
        )
    if move is not None and at - move.at < MOVE_TOLD_S and abs(move.by_s) > MOVE_S:
        raise PressureError(
            f"The wall clock was set {_span(move.by_s)} {(at - move.at) / 60:.0f} minutes ago.",
            hint="What is due is done anew; times before and after do not compare. Keep the time by NTP.",
        )
    return "The clock goes evenly."


def _span(seconds: float) -> str:
    amount, unit = abs(seconds), "s"
    if amount >= _HOUR_S:
        amount, unit = amount / _HOUR_S, "h"
    return f"{amount:.0f} {unit} {'ahead' if seconds > 0 else 'behind'}"


def supervision(found: Mapping[str, ProgramState]) -> str:
    """Return how the programs are that are kept running.

    Raises:
        PressureError: One keeps ending, or is not started any more.
    """
    if not found:
        return "Nobody keeps the processes running here but who started them."
    wrong = [f"{name} {state.alarm}: {state.reason}" for name, state in found.items() if state.alarm]  # fmt: skip
    wrong += [f"{name} is {state.state}" for name, state in found.items() if state.state == "given up"]  # fmt: skip
    if wrong:
        raise PressureError(f"{'; '.join(wrong)}.", hint="Their logs are in DATA_DIR/log.")  # fmt: skip
    restarts = sum(state.restarts for state in found.values())
    return f"{len(found)} programs run; {restarts} restarts since they were started."


def hours_left(samples: Sequence[tuple[float, int]]) -> float | None:
    """Return in how many hours nothing is free if it goes on like this; ``None``: it does not get less, or nobody can say.

    Args:
        samples: Moments in seconds and bytes that were free, the oldest first.
    """
    if len(samples) < 2 or samples[-1][0] - samples[0][0] < TREND_AFTER_S:  # noqa: PLR2004 - a line has two ends
        return None
    (begin, first), (end, last) = samples[0], samples[-1]
    middle = samples[len(samples) // 2][1]
    if not first > middle > last:
        return None  # a build that came and went is no trend
    return last / ((first - last) / (end - begin)) / _HOUR_S


def trend(samples: Mapping[str, Sequence[tuple[float, int]]], limits: Limits) -> str:
    """Return which disks will be full when.

    Raises:
        PressureError: One soon.
    """
    left = {place: hours_left(item) for place, item in samples.items()}
    soon = [
        f"{place} is full in about {hours:.1f} h if it goes on like this"
        for place, hours in left.items()
        if hours is not None and hours < limits.full_within_h
    ]
    if soon:
        raise PressureError(
            f"{'; '.join(soon)}.",
            hint="See what grows there; DISK_FULL_WITHIN_HOURS says how early this is told.",
        )
    return ""
