"""Stdio servers in real containers, as clients see them through worker and bridge."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes.mcp_box import Box, stdio_container, text_of, tool_call, wait_until

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}


def test_a_tool_is_called_with_the_endpoint_key(stdio_box: Box) -> None:
    status, answer = stdio_box.post(
        "fake", tool_call("echo", {"message": "hi"}, "my-id"), key=stdio_box.key
    )

    assert status == 200
    assert answer["id"] == "my-id"
    assert text_of(answer) == "Echo: hi"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
def test_initialize_answers_the_clients_revision(
    stdio_box: Box, asked: str, answered: str
) -> None:
    message = INITIALIZE | {
        "params": {**INITIALIZE["params"], "protocolVersion": asked}
    }

    _, answer = stdio_box.post("fake", message, key=stdio_box.key)

    assert answer["result"]["protocolVersion"] == answered
    assert answer["result"]["serverInfo"]["name"] == "fake"
    assert answer["result"]["instructions"] == "Do as you like."


def test_many_clients_open_the_server_once(stdio_box: Box) -> None:
    with ThreadPoolExecutor(8) as clients:
        list(
            clients.map(
                lambda _: stdio_box.post("fake", INITIALIZE, key=stdio_box.key),
                range(16),
            )
        )

    assert text_of(stdio_box.call("fake", "count")) == "1"


def test_answers_go_to_whom_they_belong_although_ids_repeat(stdio_box: Box) -> None:
    def ask(number: int) -> str:
        message = tool_call("echo", {"message": str(number)}, request_id=1)
        return text_of(stdio_box.post("fake", message, key=stdio_box.key)[1])

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(ask, range(200)))

    assert answers == [f"Echo: {number}" for number in range(200)]


def test_ids_and_big_numbers_come_back_as_they_were_written(stdio_box: Box) -> None:
    body = (
        b'{"jsonrpc": "2.0", "id": 12345678901234567890,\n "method": "tools/call",\n'
        b' "params": {"name": "echo", "arguments": {"message": 1.0}}}'
    )

    _, answer = stdio_box.post("fake", body, key=stdio_box.key)

    assert answer["id"] == 12345678901234567890
    assert text_of(answer) == "Echo: 1.0"


def test_progress_comes_as_events_under_the_clients_token(stdio_box: Box) -> None:
    messages = stdio_box.events("fake", tool_call("progress", progressToken="mine"))

    assert [item["params"]["progress"] for item in messages[:-1]] == [1, 2, 3]
    assert {item["params"]["progressToken"] for item in messages[:-1]} == {"mine"}
    assert text_of(messages[-1]).startswith("done with ")
    assert "mine" not in text_of(messages[-1])


def test_equal_progress_tokens_of_two_clients_are_kept_apart(stdio_box: Box) -> None:
    with ThreadPoolExecutor(2) as clients:
        both = list(
            clients.map(
                lambda number: stdio_box.events(
                    "fake", tool_call("progress", request_id=number, progressToken=1)
                ),
                (7, 8),
            )
        )

    assert [len(messages) for messages in both] == [4, 4]
    assert [messages[-1]["id"] for messages in both] == [7, 8]


def test_a_client_that_reads_no_events_gets_plain_json(stdio_box: Box) -> None:
    status, answer = stdio_box.post(
        "fake",
        tool_call("progress", progressToken=1),
        key=stdio_box.key,
        headers={"Accept": "application/json"},
    )

    assert status == 200
    assert text_of(answer).startswith("done")


def test_errors_of_the_server_are_passed_on(stdio_box: Box) -> None:
    _, answer = stdio_box.post(
        "fake", {"jsonrpc": "2.0", "id": 5, "method": "nope"}, key=stdio_box.key
    )

    assert answer == {
        "jsonrpc": "2.0",
        "id": 5,
        "error": {"code": -32601, "message": "no nope"},
    }


def test_garbage_on_stdout_disturbs_nobody_and_is_reported(stdio_box: Box) -> None:
    assert text_of(stdio_box.call("fake", "garbage")) == "sorry"
    assert (
        text_of(stdio_box.call("fake", "echo", {"message": "still here"}))
        == "Echo: still here"
    )

    state = stdio_box.instance_state("fake")
    assert state["garbage_lines"] == 3
    assert "Listening on http://localhost" in state["garbage"]
    assert "fake server starting" not in state["garbage"]


def test_a_dying_server_fails_all_waiting_calls_at_once_and_says_why(
    stdio_box: Box,
) -> None:
    with ThreadPoolExecutor(3) as clients:
        waiting = [
            clients.submit(stdio_box.call, "fake", "slow", {"seconds": 60})
            for _ in range(2)
        ]
        time.sleep(0.3)
        started = time.monotonic()
        stdio_box.call("fake", "die", {"code": 7})
        errors = [item.result()["error"] for item in waiting]

    assert time.monotonic() - started < 2
    for error in errors:
        assert error["data"]["code"] == "connection_lost"
        assert "exit code 7" in error["message"]
        assert "fatal: told to die" in error["message"]


def test_a_container_that_was_started_again_is_opened_again(stdio_box: Box) -> None:
    stdio_box.call("fake", "die")
    subprocess.run(
        ["docker", "start", stdio_box.container_id("fake")],
        check=True,
        capture_output=True,
    )

    wait_until(
        lambda: "result" in stdio_box.call("fake", "echo"), "the server answers again"
    )


def test_an_answer_longer_than_the_limit_fails_its_call_alone(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_max_body_bytes=100_000)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)

        fits = box.call("fake", "big", {"bytes": 90_000})
        too_long = box.call("fake", "big", {"bytes": 200_000})

        assert len(text_of(fits)) == 90_000
        assert "longer than 100000 bytes" in too_long["error"]["message"]
        assert text_of(box.call("fake", "echo", {"message": 1})) == "Echo: 1"


def test_a_large_answer_arrives_whole(stdio_box: Box) -> None:
    assert (
        len(text_of(stdio_box.call("fake", "big", {"bytes": 5_000_000}))) == 5_000_000
    )


def test_a_client_that_goes_away_cancels_its_call(stdio_box: Box) -> None:
    with stdio_box.raw_post("fake", tool_call("slow", {"seconds": 30})):
        time.sleep(0.3)

    def told() -> Any:
        return json.loads(text_of(stdio_box.call("fake", "cancelled")))

    wait_until(told, "the server was told")
    assert told()[0]["reason"]
    assert stdio_box.instance_state("fake")["calls_in_flight"] == 0


def test_a_client_cancels_its_own_call_and_not_anothers(stdio_box: Box) -> None:
    mine, theirs = stdio_box.open_session("fake"), stdio_box.open_session("fake")
    cancel = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 1, "reason": "enough"},
    }
    with ThreadPoolExecutor(1) as clients:
        call = clients.submit(
            stdio_box.call,
            "fake",
            "slow",
            {"seconds": 1},
            headers={"Mcp-Session-Id": mine},
        )
        time.sleep(0.3)

        stdio_box.post(
            "fake",
            cancel,
            key=stdio_box.internal_key,
            headers={"Mcp-Session-Id": theirs},
        )
        assert text_of(stdio_box.call("fake", "cancelled")) == "[]"
        stdio_box.post(
            "fake", cancel, key=stdio_box.internal_key, headers={"Mcp-Session-Id": mine}
        )
        wait_until(
            lambda: "enough" in text_of(stdio_box.call("fake", "cancelled")),
            "the server was told",
        )
        assert call.result()["error"]["code"] == -32800


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("ping", '"result": {}'),
        ("roots/list", '"roots": []'),
        ("sampling/createMessage", "-32601"),
    ],
)
def test_requests_of_the_server_are_answered(
    stdio_box: Box, method: str, expected: str
) -> None:
    stdio_box.call("fake", "ask", {"method": method})

    wait_until(
        lambda: any(
            expected in line for line in stdio_box.instance_state("fake")["stderr"]
        ),
        "the server got its answer",
    )


def test_list_changed_reaches_open_streams(stdio_box: Box) -> None:
    with stdio_box.stream("fake") as next_event:
        stdio_box.call("fake", "changed")

        assert next_event()["method"] == "notifications/tools/list_changed"


def test_a_resource_update_reaches_those_who_subscribed_and_no_one_else(
    stdio_box: Box,
) -> None:
    mine, theirs = stdio_box.open_session("fake"), stdio_box.open_session("fake")
    subscribe = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "resources/subscribe",
        "params": {"uri": "file:///a"},
    }
    stdio_box.post(
        "fake", subscribe, key=stdio_box.internal_key, headers={"Mcp-Session-Id": mine}
    )

    with (
        stdio_box.stream("fake", mine) as my_event,
        stdio_box.stream("fake", theirs) as their_event,
    ):
        stdio_box.call("fake", "updated", {"uri": "file:///a"})
        stdio_box.call("fake", "changed")

        assert my_event()["params"]["uri"] == "file:///a"
        assert their_event()["method"] == "notifications/tools/list_changed"


def test_a_log_message_in_a_call_goes_to_that_call(stdio_box: Box) -> None:
    with stdio_box.stream("fake", key=stdio_box.internal_key) as next_event:
        messages = stdio_box.events(
            "fake", tool_call("log", {"data": "secret of mine"}), key=stdio_box.key
        )
        stdio_box.call("fake", "changed")

        assert messages[0]["params"]["data"] == "secret of mine"
        assert next_event()["method"] == "notifications/tools/list_changed"


@pytest.mark.parametrize(
    ("environment", "initializations"),
    [
        ({"REVISION": "2024-11-05"}, "1"),
        ({"REVISION": "2024-11-05", "REFUSE_NEWER": "1"}, "4"),
        ({"GARBAGE_FIRST": "1"}, "1"),
        ({"START_DELAY": "1.5"}, "1"),
    ],
)
def test_servers_that_open_oddly_are_opened(
    box: Box, environment: dict[str, str], initializations: str
) -> None:
    with stdio_container(environment) as container_id:
        box.host_stdio("fake", container_id)

        assert text_of(box.call("fake", "count")) == initializations


def test_a_server_that_never_answers_is_told_as_such(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(start_timeout=1)
    with stdio_container({"SILENT": "1"}) as container_id:
        box.host_stdio("fake", container_id)

        status, answer = box.post("fake", tool_call("echo"), key=box.key)

        assert status == 503
        assert "has not answered initialize for 1 seconds" in answer["error"]["message"]
        assert "fake server starting" in answer["error"]["message"]


def test_a_container_that_is_not_ours_is_not_attached_to(box: Box) -> None:
    started = subprocess.run(
        ["docker", "run", "-d", "-i", "--rm", "mcp-host-test/python", "sleep", "60"],
        capture_output=True,
        text=True,
        check=True,
    )
    container_id = started.stdout.strip()
    try:
        box.host_stdio("fake", container_id)

        assert (
            "not made for a stdio server"
            in box.call("fake", "echo")["error"]["message"]
        )
    finally:
        subprocess.run(
            ["docker", "rm", "-f", container_id], capture_output=True, check=True
        )


def test_calls_wait_for_a_server_that_does_not_read_without_holding_up_others(
    stdio_box: Box,
) -> None:
    with stdio_container() as other:
        stdio_box.host_stdio("other", other)
        subprocess.run(
            ["docker", "pause", stdio_box.container_id("fake")],
            check=True,
            capture_output=True,
        )
        stuck = [
            threading.Thread(
                target=stdio_box.call,
                args=("fake", "echo", {"message": "x" * 1_000_000}),
            )
            for _ in range(4)
        ]
        for thread in stuck:
            thread.start()
        time.sleep(0.5)
        started = time.monotonic()

        assert text_of(stdio_box.call("other", "echo", {"message": 1})) == "Echo: 1"

        assert time.monotonic() - started < 2
        subprocess.run(
            ["docker", "unpause", stdio_box.container_id("fake")],
            check=True,
            capture_output=True,
        )
        for thread in stuck:
            thread.join()


DEAF = (
    "import json, sys, time\n"
    "for _ in range(2):\n"
    "    message = json.loads(sys.stdin.readline())\n"
    "    if 'id' in message:\n"
    "        result = {'protocolVersion': '2025-11-25', 'capabilities': {}, 'serverInfo': {'name': 'deaf', 'version': '1'}}\n"
    "        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': result}), flush=True)\n"
    "time.sleep(3600)\n"
)


def test_a_server_that_reads_no_more_fails_calls_soon_and_keeps_nothing_of_them(
    make_box: Callable[..., Box],
) -> None:
    # The first lines are on their way into the pipe: these calls wait as long as any.
    box = make_box(gw_timeout=13)
    with stdio_container(script=DEAF) as container_id:
        box.host_stdio("deaf", container_id)
        message = tool_call("any", {"message": "x" * 1_000_000})
        started = time.monotonic()

        with ThreadPoolExecutor(6) as clients:
            answers = list(
                clients.map(
                    lambda _: box.post(
                        "deaf",
                        message,
                        key=box.key,
                        headers={"Accept": "application/json"},
                    ),
                    range(6),
                )
            )

        codes = {answer["error"]["data"]["code"] for _, answer in answers}
        assert codes <= {"server_stuck", "call_timed_out"}
        assert "server_stuck" in codes
        assert time.monotonic() - started < 25
        wait_until(
            lambda: box.instance_state("deaf")["calls_in_flight"] == 0,
            "nothing is kept of the calls",
        )
