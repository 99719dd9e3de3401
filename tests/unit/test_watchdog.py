"""When a silent process is helped along, and when it is ended."""

from itertools import pairwise

import pytest

from appliance.infra.watchdog import Condition, Decision, Step, Watched

SLEEPS, RUNS, WAITS_FOR_DISK, STOPPED = (Condition(letter) for letter in "SRDT")
PATIENCE_S = 30.0
LOOK_S = 5.0


class Box:
    """A clock, and one process that beat once."""

    def __init__(self) -> None:
        self.watched = Watched(PATIENCE_S)
        self.now = 1000.0
        self.pid, self.beat = 7, 0
        self.look(SLEEPS)
        self.beats()

    def look(self, condition: Condition) -> Decision:
        self.now += LOOK_S
        return self.watched.look(self.now, self.pid, self.beat, condition)

    def beats(self) -> None:
        self.beat += 1
        assert self.look(SLEEPS).step is Step.LEAVE

    def until(self, condition: Condition, within_s: float) -> Decision | None:
        """Look until something is to be done."""
        end = self.now + within_s
        while self.now < end:
            found = self.look(condition)
            if found.step is not Step.LEAVE:
                return found
        return None

    def ended_after_s(self, condition: Condition) -> float:
        """Return how long it took until the process was to be ended, and let another take its place."""
        since = self.now
        while True:
            found = self.until(condition, 10_000)
            assert found
            if found.step is Step.END:
                break
        took_s = self.now - since
        self.pid += 1
        self.look(SLEEPS)
        self.beats()
        return took_s


def test_a_process_that_beats_is_left_alone_however_it_is() -> None:
    box = Box()

    for condition in (SLEEPS, RUNS, STOPPED) * 20:
        box.beat += 1
        assert box.look(condition).step is Step.LEAVE


def test_one_that_hangs_writes_down_what_it_does_and_is_ended_at_the_next_look() -> (
    None
):
    box = Box()

    first = box.until(SLEEPS, 60)

    assert first
    assert first.step is Step.DUMP
    assert "30 s" in first.why
    assert box.look(SLEEPS).step is Step.END


def test_one_that_begins_to_beat_again_after_the_question_is_left_alone() -> None:
    box = Box()
    assert box.until(SLEEPS, 60)

    box.beats()

    assert box.until(SLEEPS, PATIENCE_S - LOOK_S) is None


def test_one_that_was_stopped_goes_on_and_is_ended_only_if_it_is_stopped_again() -> (
    None
):
    box = Box()

    first = box.until(STOPPED, 60)
    second = box.until(STOPPED, 60)

    assert first
    assert second
    assert (first.step, second.step) == (Step.CONTINUE, Step.END)


@pytest.mark.parametrize("condition", [RUNS, WAITS_FOR_DISK])
def test_one_that_is_busy_has_more_patience_but_not_for_ever(
    condition: Condition,
) -> None:
    box = Box()

    assert box.until(condition, 4 * PATIENCE_S - LOOK_S) is None
    assert box.ended_after_s(condition) < 10 * PATIENCE_S


def test_one_under_a_debugger_is_nobody_elses_business() -> None:
    box = Box()

    assert box.until(Condition("T", is_traced=True), 3600) is None


def test_one_that_is_still_starting_may_take_its_time() -> None:
    box = Box()
    box.pid += 1
    box.look(SLEEPS)

    assert box.until(SLEEPS, 3600) is None


def test_a_beat_that_comes_before_the_first_look_counts() -> None:
    box = Box()
    box.pid = 0
    box.look(SLEEPS)
    box.pid, box.beat = 8, box.beat + 1
    box.look(SLEEPS)

    assert box.until(SLEEPS, 2 * PATIENCE_S)


def test_each_time_within_an_hour_doubles_the_patience_so_nothing_is_ended_in_a_loop() -> (
    None
):
    box = Box()

    took = [box.ended_after_s(SLEEPS) for _ in range(4)]

    assert all(late > 1.5 * early for early, late in pairwise(took))


def test_a_watcher_that_was_away_itself_blames_nobody_for_it() -> None:
    box = Box()

    box.now += 3600

    assert box.look(SLEEPS).step is Step.LEAVE
