"""Limits hold over all workers together, and nobody pays for a call that another limit refused."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.edge.keys import Admission
from appliance.gateway.edge.limits import (
    Limit,
    Limiter,
    LimitTable,
    Refusal,
    Token,
    limit,
    limits_of,
)
from appliance.gateway.routes import Route, UserKey


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def crew(clock: Clock, workers: int = 3, slots: int = 64) -> list[Limiter]:
    table = LimitTable(workers, slots)
    return [Limiter(table, index, clock) for index in range(workers)]


def entered(limiter: Limiter, *limits: Limit) -> Token:
    token = limiter.enter(*limits)
    assert isinstance(token, Token)
    return token


@given(turns=st.lists(st.integers(0, 2), min_size=30, max_size=60))
def test_a_rate_holds_over_all_workers_together(turns: list[int]) -> None:
    workers = crew(Clock())
    ten = Limit("key:a", "This key", calls_per_second=10)

    let_in = [isinstance(workers[turn].enter(ten), Token) for turn in turns]

    assert let_in == [True] * 10 + [False] * (len(turns) - 10)


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 0.4), st.integers(0, 2)), min_size=1, max_size=80
    )
)
def test_no_second_sees_twice_the_rate(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    workers = crew(clock)
    five = Limit("key:a", "This key", calls_per_second=5)
    moments = []
    for wait, turn in steps:
        clock.now += wait
        if isinstance(workers[turn].enter(five), Token):
            moments.append(clock.now)

    assert all(
        sum(1 for moment in moments if start <= moment < start + 1) <= 10
        for start in moments
    )


def test_the_rate_comes_back_with_time() -> None:
    clock = Clock()
    (worker, *_) = crew(clock)
    two = Limit("key:a", "This key", calls_per_second=2)
    entered(worker, two)
    entered(worker, two)
    refusal = worker.enter(two)

    assert isinstance(refusal, Refusal)
    assert refusal.retry_after_s == 1
    assert "2 calls a second" in refusal.message
    clock.now += 2
    entered(worker, two)


def test_less_than_a_call_a_second_is_counted_over_a_longer_time() -> None:
    clock = Clock()
    (worker, *_) = crew(clock)
    slow = Limit("key:a", "This key", calls_per_second=0.1)
    entered(worker, slow)
    clock.now += 5
    assert isinstance(worker.enter(slow), Refusal)
    clock.now += 15
    entered(worker, slow)


@given(turns=st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_concurrency_is_never_exceeded_and_comes_back(turns: list[int]) -> None:
    workers = crew(Clock())
    three = Limit("server:1", "This server", concurrency=3)
    open_calls: list[tuple[int, Token]] = []
    for turn in turns:
        token = workers[turn].enter(three)
        assert isinstance(token, Token) == (len(open_calls) < 3)
        if isinstance(token, Token):
            open_calls.append((turn, token))
        elif turn == 0:
            worker, oldest = open_calls.pop(0)
            workers[worker].leave(oldest)


def test_a_call_that_one_limit_refuses_counts_under_none() -> None:
    (worker, *_) = crew(Clock())
    key = Limit("key:a", "This key", calls_per_second=5, concurrency=5)
    server = Limit("server:1", "This server", concurrency=1)
    held = entered(worker, server)
    for _ in range(20):
        assert isinstance(worker.enter(key, server), Refusal)
    worker.leave(held)

    for _ in range(5):
        worker.leave(entered(worker, key, server))
    assert isinstance(worker.enter(key, server), Refusal)


def test_subjects_do_not_share() -> None:
    (worker, *_) = crew(Clock())
    for number in range(40):
        entered(worker, Limit(f"key:{number}", "This key", calls_per_second=1))


def test_a_worker_that_died_holds_no_places() -> None:
    clock = Clock()
    table = LimitTable(2, 64)
    one = Limit("server:1", "This server", concurrency=1)
    entered(Limiter(table, 0, clock), one)
    other = Limiter(table, 1, clock)
    assert isinstance(other.enter(one), Refusal)

    Limiter(table, 0, clock)

    entered(other, one)


def test_a_retired_worker_leaves_its_successors_count_alone() -> None:
    clock = Clock()
    table = LimitTable(1, 64)
    one = Limit("server:1", "This server", concurrency=1)
    retired = Limiter(table, 0, clock)
    old = entered(retired, one)
    retired.detach()
    successor = Limiter(table, 0, clock)
    entered(successor, one)

    retired.leave(old)

    assert isinstance(successor.enter(one), Refusal)


def test_a_full_table_lets_calls_through() -> None:
    (worker, *_) = crew(Clock(), slots=2)
    for number in range(5):
        once = Limit(f"key:{number}", "This key", calls_per_second=1)
        assert isinstance(worker.enter(once), Token)


def test_processes_find_the_same_slot() -> None:
    table = LimitTable(2, 64)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        found = [table.slot(f"key:{number}") for number in range(40)]
        os.write(writing, bytes(item or 0 for item in found))
        os._exit(0)
    ours = [table.slot(f"key:{number}") for number in reversed(range(40))][::-1]
    os.waitpid(child, 0)

    assert ours == list(os.read(reading, 100))
    assert len(set(ours)) == 40


@pytest.mark.parametrize("values", [{}, {"calls_per_second": 0}, {"concurrency": 0}])
def test_no_limit_is_none(values: dict[str, float]) -> None:
    assert limit("server:1", "This server", values) is None


def admission(
    principal: str = "user:1", key: UserKey | None = None, **limits: float
) -> Admission:
    route = Route(1, "time", 1, "running", "", limits=limits)
    return Admission(route, principal, key)


def test_a_key_has_its_own_limits_or_those_of_the_settings() -> None:
    defaults = {"calls_per_second": 5, "concurrency": 0}
    own = UserKey(
        1,
        expires_at=None,
        key_id=7,
        calls_per_second=50.0,
        concurrency=2,
    )
    plain = UserKey(1, expires_at=None, key_id=8)

    assert limits_of(admission(key=own), defaults) == (
        Limit("key:7", "This key", 50.0, 2),
    )
    assert limits_of(admission(key=plain), defaults) == (
        Limit("key:8", "This key", 5.0, 0),
    )


def test_a_server_is_limited_for_everybody_but_the_hub() -> None:
    by_endpoint = admission("server:1", concurrency=3)

    assert limits_of(by_endpoint, {}) == (Limit("server:1", "time", 0.0, 3),)
    assert limits_of(admission("hub", concurrency=3), {}) == ()
