"""Which servers rest, seen from afar."""

from typing import Any

import pytest

from appliance.runtimes.model import InstanceState
from appliance.servers.glance import rests

UP, DOWN = InstanceState.RUNNING, InstanceState.EXITED


@pytest.mark.parametrize(
    ("row", "containers"),
    [
        (["running", "running", False, ["c"], 1], {"c": UP}),
        (["running", "running", False, [""], 1], {}),
        (["stopped", "stopped", False, [], 0], {}),
    ],
)
def test_what_is_as_wanted_rests(
    row: list[Any], containers: dict[str, InstanceState]
) -> None:
    assert rests(row, containers)


@pytest.mark.parametrize(
    ("row", "containers"),
    [
        (["running", "running", True, ["c"], 1], {"c": UP}),
        (["running", "degraded", False, ["c"], 1], {"c": UP}),
        (["running", "error", False, [], 0], {}),
        (["running", "running", False, ["c"], 1], {}),
        (["running", "running", False, ["c"], 1], {"c": DOWN}),
        (["running", "running", False, ["c"], 1], {"other": UP}),
        (["running", "running", False, ["c"], 1], {"c": UP, "stray": DOWN}),
        (["running", "running", False, ["c"], 2], {"c": UP, "leaving": UP}),
        (["running", "running", False, [], 0], {}),
        (["running", "running", False, [""], 1], {"stray": UP}),
        (["stopped", "stopped", False, [], 0], {"stray": UP}),
        (["stopped", "stopped", False, [], 1], {}),
        (["deleted", "stopping", False, [], 0], {}),
    ],
)
def test_what_is_not_is_reconciled(
    row: list[Any], containers: dict[str, InstanceState]
) -> None:
    assert not rests(row, containers)
