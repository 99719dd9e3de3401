"""The gateway becomes another release of itself, and no client notices."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.infra.turns import read_state
from tests.fakes.mcp_box import (
    Box,
    has_ended,
    stdio_container,
    text_of,
    tool_call,
    wait_until,
)
from tests.functional.gateway.test_gateway_questions import ANSWER, FORM, session
from tests.harness.steady_load import Load, Target, steady_load


def hand_over(box: Box, turn: int) -> None:
    os.kill(box.pid, signal.SIGUSR2)
    wait_until(lambda: serves(box, turn), f"turn {turn} serves")


def wait_for_calls(load: Load, more: int) -> None:
    seen = load.calls
    wait_until(lambda: load.calls > seen + more, "calls go on")


def serves(box: Box, turn: int) -> bool:
    state = read_state(box.settings.run_dir)
    return state is not None and state.turn == turn and state.is_serving


def test_no_call_fails_while_the_gateway_is_handed_over(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(gw_graceful_timeout=10)
    with stdio_container() as container_id:
        stdio = box.host_stdio("fake", container_id)
        web = box.host_http("web", f"{web_server}/mcp")
        first = box.children()
        targets = [
            Target(f"{box.url}/servers/fake/mcp", stdio, "echo"),
            Target(f"{box.url}/servers/web/mcp", web, "echo"),
        ]
        with (
            ThreadPoolExecutor(1) as clients,
            box.stream("fake"),
            steady_load(targets, per_second=100) as load,
        ):
            wait_until(lambda: load.calls > 20, "the load runs")
            long = clients.submit(box.call, "fake", "slow", {"seconds": 2})
            for turn in (2, 3, 4):
                hand_over(box, turn)
                wait_for_calls(load, 30)
            slept = text_of(long.result())

        assert slept == "slept"
        assert load.failed == []
        assert min(load.answered.values()) > 40
        assert text_of(box.call("fake", "count")) == "1"  # it was opened once
        wait_until(lambda: all(map(has_ended, first.values())), "the first are gone")
        wait_until(lambda: leaving(box) == 0, "all of the earlier turns are gone")
        assert len(children_of(box.pid)) == 4


@pytest.fixture
def shared(make_box: Callable[..., Box]) -> Iterator[Box]:
    """A gateway of the test's own before a server called ``any`` that all clients share."""
    with stdio_container() as container_id:
        box = make_box()
        box.host_stdio("any", container_id, session_mode="shared")
        yield box


async def test_a_call_that_waits_for_its_client_gets_the_answer_through_the_successor(
    shared: Box,
) -> None:
    async with session(shared) as client:
        arguments = {"method": "elicitation/create", "params": FORM}
        events = client.events(tool_call("inquire", arguments))
        question = await anext(events)

        await asyncio.to_thread(hand_over, shared, 2)
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": ANSWER}
        assert await client.post(answer) == 202

        assert json.loads(text_of(await anext(events))) == {"result": ANSWER}


def test_a_release_that_does_not_come_up_is_found_out_before(
    make_box: Callable[..., Box], tmp_path: Path
) -> None:
    release = tmp_path / "mcp-host"
    write(release, "echo 'this release is broken'; exit 1")
    box = make_box(command=(str(release), "gateway"))
    with stdio_container() as container_id:
        key = box.host_stdio("fake", container_id)
        first = box.children()
        target = Target(f"{box.url}/servers/fake/mcp", key, "echo")
        with steady_load([target], per_second=50) as load:
            os.kill(box.pid, signal.SIGUSR2)
            wait_until(lambda: refused(box), "the hand-over is refused")
        assert load.failed == []
        assert box.children() == first
        assert "this release is broken" in box.log.read_text()

        # Mended, the same process takes it.
        write(release, f'exec {sys.executable} -P -m appliance "$@"')
        hand_over(box, 2)

        assert "result" in box.call("fake", "echo")


def write(path: Path, words: str) -> None:
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o755)


def refused(box: Box) -> bool:
    state = read_state(box.settings.run_dir)
    return state is not None and bool(state.refused)


def leaving(box: Box) -> int:
    state = read_state(box.settings.run_dir)
    return -1 if state is None else state.leaving


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
