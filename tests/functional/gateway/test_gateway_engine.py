"""What the bridge does when the connection to the engine breaks, or the engine is away."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.mcp_box import Box, stdio_container, text_of, tool_call, wait_until
from tests.fakes.mcp_engine import EngineDoor


@pytest.fixture
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineDoor]:
    """A door before the engine."""
    with EngineDoor(
        Path("/var/tmp") / f"{tmp_path_factory.mktemp('engine').name}.sock"
    ) as opened:
        yield opened


@pytest.fixture
def door_box(make_box: Callable[..., Box], door: EngineDoor) -> Iterator[Box]:
    """A gateway before a stdio server, behind the door."""
    box = make_box(docker_host=door.address)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        yield box


def test_a_broken_connection_fails_what_waits_and_the_next_call_works(
    door_box: Box, door: EngineDoor
) -> None:
    assert text_of(door_box.call("fake", "echo", {"message": 1})) == "Echo: 1"
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(door_box.call, "fake", "slow", {"seconds": 30})
        wait_until(
            lambda: door_box.instance_state("fake")["calls_in_flight"] == 1,
            "the call is on its way",
        )

        door.cut()

        assert (
            "whether the call was done is not known"
            in waiting.result()["error"]["message"]
        )
    assert text_of(door_box.call("fake", "echo", {"message": 1})) == "Echo: 1"
    assert text_of(door_box.call("fake", "count")) == "1"


def test_open_streams_hear_of_changes_after_the_connection_broke(
    door_box: Box, door: EngineDoor
) -> None:
    with door_box.stream("fake") as next_event:
        door.cut()
        wait_until(
            lambda: door_box.instance_state("fake")["state"] == "open",
            "the server is attached to again",
        )

        door_box.call("fake", "changed")

        assert next_event()["method"] == "notifications/tools/list_changed"


def test_an_engine_that_is_away_is_told_as_such_and_back_it_is_used_again(
    door_box: Box, door: EngineDoor
) -> None:
    assert text_of(door_box.call("fake", "echo", {"message": 1})) == "Echo: 1"

    door.shut()

    wait_until(
        lambda: door_box.instance_state("fake")["state"] == "detached",
        "the connection is gone",
    )
    status, answer = door_box.post("fake", tool_call("echo"), key=door_box.key)
    assert status == 503
    assert "engine" in answer["error"]["message"]
    assert answer["error"]["data"]["code"] == "engine_unavailable"

    door.open()
    assert text_of(door_box.call("fake", "echo", {"message": 1})) == "Echo: 1"
