"""A key and a server are asked no more than they may, whichever worker is asked."""

import select
import threading
from contextlib import ExitStack
from typing import Any

from psycopg2.extras import Json

from tests.fakes.mcp_box import Box, text_of, tool_call, wait_until

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def limit_key(box: Box, key_id: int, **limits: Any) -> None:
    for name, value in limits.items():
        box.execute(f"UPDATE api_keys SET {name} = %s WHERE id = %s", value, key_id)  # noqa: S608 - our own names
    box.wait_known()


def limit_server(box: Box, **limits: Any) -> None:
    box.execute(
        "UPDATE servers SET config = config || %s WHERE name = 'fake'",
        Json({"limits": limits}),
    )
    box.wait_known()


def statuses(box: Box, key: str, calls: int) -> list[int]:
    return [box.post("fake", PING, key=key)[0] for _ in range(calls)]


def test_a_key_may_call_as_often_as_it_may_over_all_workers(stdio_box: Box) -> None:
    key = stdio_box.add_user_key(stdio_box.owner)
    key_id = stdio_box.execute("SELECT max(id) FROM api_keys")
    limit_key(stdio_box, key_id, calls_per_second=0.1)

    assert statuses(stdio_box, key, 6) == [200] + [429] * 5
    assert statuses(stdio_box, stdio_box.key, 6) == [200] * 6


def test_a_refusal_says_who_is_limited_and_when_to_come_again(stdio_box: Box) -> None:
    key = stdio_box.add_user_key(stdio_box.owner)
    key_id = stdio_box.execute("SELECT max(id) FROM api_keys")
    limit_key(stdio_box, key_id, calls_per_second=0.1)
    stdio_box.post("fake", PING, key=key)

    status, answer = stdio_box.post("fake", PING, key=key)

    assert status == 429
    assert answer["id"] == 1
    assert answer["error"]["code"] == -32050
    assert "This key" in answer["error"]["message"]


def test_a_server_has_no_more_calls_at_once_than_it_may(stdio_box: Box) -> None:
    limit_server(stdio_box, concurrency=1)
    found: list[Any] = []

    def call() -> None:
        message = tool_call("slow", {"seconds": 1})
        found.append(stdio_box.post("fake", message, key=stdio_box.key)[0])

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [200, 429, 429, 429, 429]
    # The place is free again.
    answer = stdio_box.call("fake", "echo", {"message": "x"}, key=stdio_box.key)
    assert text_of(answer) == "Echo: x"


def test_the_hub_s_own_probes_are_not_limited(stdio_box: Box) -> None:
    limit_server(stdio_box, calls_per_second=0.1)

    assert statuses(stdio_box, stdio_box.internal_key, 5) == [200] * 5


def test_a_worker_that_died_in_a_call_frees_its_place(stdio_box: Box) -> None:
    limit_server(stdio_box, concurrency=1)
    message = tool_call("slow", {"seconds": 30})
    with ExitStack() as calls:

        def is_refused() -> bool:
            sent = calls.enter_context(
                stdio_box.raw_post("fake", message, key=stdio_box.key)
            )
            # Whoever is refused hears so at once; the others hear nothing for 30 seconds.
            return bool(select.select([sent], [], [], 0.5)[0])

        wait_until(is_refused, "a call before it holds the place")
        for name in ("worker-0", "worker-1"):
            stdio_box.kill_child(name)
        stdio_box.wait_routed("fake")

    assert statuses(stdio_box, stdio_box.key, 1) == [200]


def test_a_server_s_own_size_and_time_hold(stdio_box: Box) -> None:
    limit_server(stdio_box, body_bytes=2048, timeout_s=0.5)

    large = tool_call("echo", {"message": "x" * 4096})
    late = tool_call("slow", {"seconds": 3})

    assert stdio_box.post("fake", large, key=stdio_box.key)[0] == 413
    assert stdio_box.post("fake", late, key=stdio_box.key)[0] == 504
