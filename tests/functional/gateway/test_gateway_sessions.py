"""Sessions with containers of their own, through a whole gateway."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.request import Request, urlopen

import pytest

from appliance.core import labels
from appliance.gateway.bridge.clones import gateway_label
from appliance.gateway.edge.eras import ASSUMED_FOR_S
from appliance.gateway.http.messages import BRIDGE_SESSION
from tests.fakes.mcp_box import (
    ROOT,
    Box,
    stdio_container,
    text_of,
    tool_call,
    wait_until,
)
from tests.functional.gateway.conftest import accepts
from tests.harness.ports import free_port


def containers(box: Box) -> list[str]:
    """The containers that the gateway keeps for sessions."""
    mark = gateway_label(box.config.session_key, box.config.bridge_socket)
    command = ["docker", "ps", "-aq", f"--filter=label={labels.GATEWAY}={mark}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.fixture
def apart(make_box: Callable[..., Box]) -> Iterator[Box]:
    """A gateway before a stdio server whose sessions have containers of their own."""
    box = make_box(gw_sessions_per_server=2, gw_sessions_per_principal=2)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id, session_mode="per-session")
        yield box
        box.forget_everything()
        wait_until(lambda: containers(box) == [], "the sessions' containers are gone")


def call(box: Box, session: str, tool: str, **arguments: object) -> str:
    headers = {"Mcp-Session-Id": session} if session else {}
    answer = box.call("fake", tool, arguments, key=box.key, headers=headers)
    assert "result" in answer, answer
    return text_of(answer)


def delete(box: Box, session: str) -> int:
    headers = {"Authorization": f"Bearer {box.key}", "Mcp-Session-Id": session}
    url = f"{box.url}/servers/fake/mcp"
    with urlopen(Request(url, headers=headers, method="DELETE"), timeout=30) as answer:
        return int(answer.status)


def test_each_session_has_a_server_of_its_own(apart: Box) -> None:
    ada, bob = (apart.open_session("fake", key=apart.key) for _ in range(2))

    counts = [call(apart, session, "tally") for session in (ada, ada, bob)]

    assert counts == ["1", "2", "1"]
    assert len(containers(apart)) == 2


def test_a_session_that_is_deleted_takes_its_container_along(apart: Box) -> None:
    session = apart.open_session("fake", key=apart.key)
    call(apart, session, "echo")

    assert delete(apart, session) == 200

    wait_until(lambda: containers(apart) == [], "the container is gone")


def test_to_open_a_session_makes_no_container(apart: Box) -> None:
    for _ in range(5):
        apart.open_session("fake", key=apart.key)

    assert containers(apart) == []


def test_a_killed_bridge_leaves_no_container_and_the_session_goes_on(
    apart: Box,
) -> None:
    session = apart.open_session("fake", key=apart.key)
    call(apart, session, "tally")
    before = containers(apart)

    apart.kill_child("bridge")

    wait_until(
        lambda: not set(before) & set(containers(apart)), "the container is gone"
    )
    assert call(apart, session, "tally") == "1"
    assert len(containers(apart)) == 1


def test_a_gateway_that_is_stopped_leaves_no_session_behind(apart: Box) -> None:
    for _ in range(2):
        session = apart.open_session("fake", key=apart.key)
        call(apart, session, "echo")
    assert len(containers(apart)) == 2

    assert apart.stop() == 0

    assert containers(apart) == []
    apart.start()


def test_who_has_too_many_busy_sessions_is_told_when_to_come_again(apart: Box) -> None:
    busy = [apart.open_session("fake", key=apart.key) for _ in range(2)]
    for session in busy:
        call(apart, session, "echo")
    third = apart.open_session("fake", key=apart.key)
    open_calls = [
        apart.send(
            "fake", tool_call("slow", {"seconds": 3}), session=session, key=apart.key
        )
        for session in busy
    ]
    wait_until(
        lambda: (
            sum(
                item["calls_in_flight"]
                for item in apart.instance_state("fake")["sessions"]
            )
            == 2
        ),
        "both are busy",
    )

    status, answer = apart.post(
        "fake",
        tool_call("echo"),
        key=apart.key,
        headers={"Mcp-Session-Id": third},
    )

    assert (status, answer["error"]["data"]["code"]) == (429, "too_many_sessions")
    for connection in open_calls:
        connection.close()


def test_a_server_that_is_stopped_takes_its_sessions_along(apart: Box) -> None:
    session = apart.open_session("fake", key=apart.key)
    call(apart, session, "echo")

    apart.execute("DELETE FROM instances")

    wait_until(lambda: containers(apart) == [], "the container is gone", within_s=10)


def test_a_session_that_was_opened_while_a_server_started_goes_on(
    make_box: Callable[..., Box],
) -> None:
    # What one worker knows of a server, another may not.
    box = make_box(gw_workers=1)
    port = free_port()
    box.host_http("late", f"http://127.0.0.1:{port}/mcp")
    assert box.post("late", tool_call("echo"), key=box.key)[0] >= 500
    command = [sys.executable, "-m", "tests.fakes.mcp_web", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_until(lambda: accepts(port), "the server listens")
            session = box.open_session("late", key=box.key)
            assert session.startswith(BRIDGE_SESSION)
            # By then it is asked again how it speaks, and called without the bridge.
            time.sleep(ASSUMED_FOR_S + 0.5)
            wait_until(
                lambda: (
                    not box.open_session("late", key=box.key).startswith(BRIDGE_SESSION)
                ),
                "the server is called without the bridge",
            )

            headers = {"Mcp-Session-Id": session}
            answer = box.call("late", "headers", {}, key=box.key, headers=headers)

            # The server is told of the session that it made for the bridge, not of the bridge's own.
            seen = {
                name.lower(): value
                for name, value in json.loads(text_of(answer)).items()
            }
            assert seen["mcp-session-id"] == "real-session"
        finally:
            server.kill()
