"""When a version is taken back, and how two deployments differ: rules."""

import pytest

from appliance.servers.deploys.diff import HIDDEN, Change, changes
from appliance.servers.deploys.model import Trigger
from appliance.servers.deploys.verdict import Calls, why_worse


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(Calls(200, 0), Calls(20, 20), id="every call fails"),
        pytest.param(Calls(200, 0), Calls(40, 6), id="one in seven, none before"),
        pytest.param(Calls(1000, 500), Calls(60, 58), id="half failed before, all now"),
        pytest.param(Calls(0, 0), Calls(20, 10), id="nobody called the one before"),
    ],
)
def test_a_version_whose_calls_fail_far_more_often_is_taken_back(
    old: Calls, new: Calls
) -> None:
    assert why_worse(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(Calls(200, 0), Calls(4, 4), id="too few calls"),
        pytest.param(Calls(200, 0), Calls(1000, 4), id="too few failures"),
        pytest.param(Calls(200, 0), Calls(1000, 50), id="one in twenty"),
        pytest.param(Calls(100, 30), Calls(20, 8), id="as often as before"),
        pytest.param(Calls(10, 4), Calls(10, 7), id="may be chance"),
        pytest.param(Calls(200, 200), Calls(100, 100), id="nothing to gain"),
    ],
)
def test_a_version_that_may_be_as_good_as_the_one_before_stays(
    old: Calls, new: Calls
) -> None:
    assert why_worse(old, new) is None


def test_the_figures_are_told() -> None:
    told = why_worse(Calls(200, 1), Calls(30, 30))

    assert told == ("30 of its first 30 calls failed; of the version before, 1 of 200.")


def test_a_version_that_crashes_again_is_taken_back_though_nobody_called() -> None:
    assert why_worse(Calls(), Calls(), crashes=1) is None
    assert why_worse(Calls(), Calls(), crashes=2) == (
        "it crashed 2 times since it went live."
    )


def test_changes_are_told_field_by_field() -> None:
    before = {"config": {"cpu_limit": 1.0, "environment": {"LEVEL": "info"}}}
    after = {"config": {"cpu_limit": 2.0, "environment": {"MODE": "fast"}}}

    assert changes(before, after) == [
        Change("config.cpu_limit", 1.0, 2.0),
        Change("config.environment.LEVEL", "info", None),
        Change("config.environment.MODE", None, "fast"),
    ]


def test_lists_are_compared_whole() -> None:
    assert changes({"tools": ["a", "b"]}, {"tools": ["b", "a"]}) == [
        Change("tools", ["a", "b"], ["b", "a"])
    ]


def test_values_that_look_secret_by_name_are_not_told() -> None:
    before = {"environment": {"API_TOKEN": "one"}}
    after = {"environment": {"API_TOKEN": "two", "DB_PASSWORD": "three"}}

    assert changes(before, after) == [
        Change("environment.API_TOKEN", HIDDEN, HIDDEN),
        Change("environment.DB_PASSWORD", None, HIDDEN),
    ]


def test_equal_documents_have_no_changes() -> None:
    assert changes({"a": {"b": 1, "c": None}}, {"a": {"b": 1}}) == []


def test_locks_refuse_what_people_start_and_not_what_mends() -> None:
    held_up = {trigger for trigger in Trigger if not trigger.is_lockable}

    assert held_up == {Trigger.SECOND_ATTEMPT, Trigger.AUTOMATIC_ROLLBACK}
