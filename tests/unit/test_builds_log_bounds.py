"""What is kept of a build that prints without end."""

from appliance.builds.log_bounds import (
    HEAD_BYTES,
    HEAD_LINES,
    TAIL_BYTES,
    TAIL_LINES,
    LogBounds,
)


def test_an_ordinary_build_is_kept_whole() -> None:
    bounds = LogBounds()

    assert [bounds.take(f"line {n}") for n in range(HEAD_LINES)] == [
        f"line {n}" for n in range(HEAD_LINES)
    ]
    assert bounds.rest() == []


def test_beginning_and_end_are_kept_and_the_middle_is_counted() -> None:
    bounds = LogBounds()
    total = HEAD_LINES + 5000

    head = [kept for n in range(total) if (kept := bounds.take(f"line {n}"))]
    rest = bounds.rest()

    assert len(head) == HEAD_LINES + 1
    assert rest[0] == f"… {5000 - TAIL_LINES} lines are left out here."
    assert rest[-1] == f"line {total - 1}"
    assert len(rest) == TAIL_LINES + 1


def test_a_hundred_megabytes_of_long_lines_take_little() -> None:
    bounds = LogBounds()
    line = "x" * 8000

    kept = sum(len(found) for _ in range(12_500) if (found := bounds.take(line)))
    kept += sum(map(len, bounds.rest()))

    assert kept <= HEAD_BYTES + TAIL_BYTES + 1000
