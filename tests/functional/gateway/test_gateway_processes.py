"""What happens when processes die, stop, or cannot start, and when Postgres is away."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster import ThrowAwayCluster
from tests.fakes.mcp_box import (
    Box,
    has_ended,
    stdio_container,
    text_of,
    tool_call,
    wait_until,
)


def echo_works(box: Box) -> bool:
    answer = box.post("fake", tool_call("echo"), key=box.key)
    return "result" in answer[1]


@pytest.mark.parametrize("child", ["worker-0", "worker-1", "bridge"])
def test_a_killed_child_is_back_at_once_and_the_next_call_works(
    make_box: Callable[..., Box], child: str
) -> None:
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        assert echo_works(box)

        killed = box.kill_child(child)

        assert all(echo_works(box) for _ in range(20))
        assert box.children()[child] != killed
        assert text_of(box.call("fake", "count")) == "1"


def test_a_call_that_was_passed_on_is_not_done_twice(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        assert echo_works(
            box
        )  # so that the next call is not the one that opens the server
        with ThreadPoolExecutor(1) as clients:
            call = clients.submit(box.call, "fake", "tally", {"seconds": 30})
            wait_until(
                lambda: "tally 1" in box.instance_state("fake")["stderr"],
                "the server has the call",
            )

            box.kill_child("bridge")

            assert "is not known" in call.result()["error"]["message"]
        assert text_of(box.call("fake", "tally")) == "2"


def test_a_successor_of_the_bridge_needs_no_second_initialize(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    with stdio_container({"REFUSE_SECOND": "1"}) as container_id:
        box.host_stdio("fake", container_id)
        session = {"Mcp-Session-Id": box.open_session("fake")}

        box.kill_child("bridge")

        status, answer = box.post(
            "fake",
            tool_call("echo", {"message": 1}),
            key=box.internal_key,
            headers=session,
        )
        assert (status, text_of(answer)) == (200, "Echo: 1")


def test_a_server_that_was_opened_by_somebody_else_is_taken_as_open(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    with stdio_container({"REFUSE_SECOND": "1"}) as container_id:
        opening = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}\n'
        attach = ["docker", "attach", "--sig-proxy=false", container_id]
        with subprocess.Popen(
            attach, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as somebody:
            assert somebody.stdin is not None
            assert somebody.stdout is not None
            somebody.stdin.write(opening)
            somebody.stdin.flush()
            assert "serverInfo" in somebody.stdout.readline()
            somebody.kill()
        box.host_stdio("fake", container_id)

        assert text_of(box.call("fake", "echo", {"message": 1})) == "Echo: 1"


def test_a_stop_lets_open_calls_end(make_box: Callable[..., Box]) -> None:
    box = make_box(gw_graceful_timeout=10)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        with ThreadPoolExecutor(1) as clients, box.stream("fake"):
            call = clients.submit(box.call, "fake", "slow", {"seconds": 2})
            time.sleep(0.5)
            started = time.monotonic()
            code = box.stop()

        assert code == 0
        assert text_of(call.result()) == "slept"
        assert time.monotonic() - started < 5
        assert box.get("/healthz")[0] == 0


def test_a_stop_ends_calls_that_take_too_long(make_box: Callable[..., Box]) -> None:
    box = make_box(gw_graceful_timeout=1)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        with box.raw_post("fake", tool_call("slow", {"seconds": 60})):
            time.sleep(0.3)
            started = time.monotonic()

            assert box.stop() == 0

        assert time.monotonic() - started < 6


def test_a_stop_of_the_whole_process_group_is_a_clean_one(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    for pid in box.children().values():
        os.kill(pid, signal.SIGTERM)

    assert box.stop() == 0
    assert "Traceback" not in box.log.read_text()


def test_children_of_a_killed_master_end_when_none_comes(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_graceful_timeout=1)
    children = list(box.children().values())
    assert len(children) == 4
    assert box.process is not None

    box.process.kill()
    box.process.wait()

    time.sleep(1)
    assert box.get("/healthz")[0] == 200
    wait_until(
        lambda: all(has_ended(pid) for pid in children), "the children have ended"
    )
    box.start()


def test_a_killed_masters_port_is_never_closed(make_box: Callable[..., Box]) -> None:
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        elders, has_ended_all = box.children(), threading.Event()

        def calls() -> list[bool]:
            answered = []
            while not has_ended_all.is_set():
                answered.append(echo_works(box))
            return answered

        with ThreadPoolExecutor(2) as clients:
            answered = [clients.submit(calls) for _ in range(2)]
            try:
                assert box.process is not None
                box.process.kill()
                box.process.wait()
                time.sleep(1)
                box.start()
                wait_until(
                    lambda: all(has_ended(pid) for pid in elders.values()),
                    "the successor's children have relieved them",
                )
            finally:
                has_ended_all.set()
            both = [item.result() for item in answered]

        assert all(len(item) > 10 and all(item) for item in both)
        assert not set(elders.values()) & set(box.children().values())


def test_a_master_that_may_not_take_over_has_the_children_leave(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    elders = box.children()
    assert box.process is not None
    box.process.kill()
    box.process.wait()
    roll = Path(box.config.bridge_socket).parent / "gateway-children.json"
    torn = json.loads(roll.read_text()) | {"listener": 999}
    roll.write_text(json.dumps(torn))

    box.start()

    assert box.get("/healthz")[0] == 200
    wait_until(
        lambda: (
            all(has_ended(pid) for pid in elders.values())
            and not set(elders.values()) & set(box.children().values())
        ),
        "others are in their places",
    )


def test_a_second_gateway_on_the_port_ends_with_a_sentence(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()

    second = box.spawn(capture=True)
    _, words = second.communicate(timeout=20)

    assert second.returncode == 1
    assert words.count(b"\n") == 1
    for part in (
        f"port {box.port}",
        "in use",
        "MCP_GATEWAY_URL",
        "GATEWAY_BIND_ADDRESS",
    ):
        assert part in words.decode()


def test_a_worker_is_replaced_after_its_calls_and_none_fails(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_workers=1, gw_max_requests=20, gw_max_requests_jitter=5)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        first = box.children()["worker-0"]

        assert all(echo_works(box) for _ in range(100))

        assert box.children()["worker-0"] != first
        wait_until(lambda: has_ended(first), "the first worker is gone")


def test_without_preload_the_gateway_works_as_well(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_preload=False)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)

        assert echo_works(box)


def test_calls_go_on_while_postgres_is_away_even_if_workers_die(
    make_box: Callable[..., Box], cluster: ThrowAwayCluster
) -> None:
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        cluster.execute("CHECKPOINT")  # the cluster of tests loses what is younger
        cluster.kill()
        try:
            time.sleep(1)
            assert all(echo_works(box) for _ in range(20))
            box.kill_child("worker-0")
            box.kill_child("worker-1")
            assert all(echo_works(box) for _ in range(20))
            assert box.get("/readyz")[0] == 200
        finally:
            cluster.start()

        box.add_server("late", box.owner)
        box.wait_routed("late")


def test_a_gateway_that_starts_without_postgres_waits_for_it(
    make_box: Callable[..., Box], cluster: ThrowAwayCluster
) -> None:
    cluster.kill()
    try:
        box = make_box(wait=False)
        wait_until(lambda: box.get("/healthz")[0] == 200, "the gateway is alive")

        status, answer = box.post("fake", tool_call("echo"), key="mcps_x")

        assert status == 503
        assert "does not know its servers yet" in answer["error"]["message"]
        assert box.get("/readyz")[0] == 503
    finally:
        cluster.start()
    wait_until(lambda: box.get("/readyz")[0] == 200, "the gateway is ready")


def test_a_gateway_that_starts_before_the_schema_waits_for_it(
    make_box: Callable[..., Box], empty_database_url: str
) -> None:
    box = make_box(database_url=empty_database_url, wait=False)

    wait_until(
        lambda: box.get("/readyz")[0] == 503, "the gateway is alive and not ready"
    )

    box.migrate()
    wait_until(lambda: box.get("/readyz")[0] == 200, "the gateway is ready")


def test_a_starting_bridge_forgets_containers_that_are_gone(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    kept = Path(box.config.bridge_socket).parent / "bridge"
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        assert echo_works(box)
        (kept / f"{'0' * 64}.json").write_text("{}")

        box.kill_child("bridge")

        wait_until(
            lambda: [path.stem for path in kept.iterdir()] == [container_id],
            "what is gone is forgotten",
        )


def test_a_killed_masters_calls_end_well_beside_its_successor(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        assert echo_works(box)
        with ThreadPoolExecutor(1) as clients:
            call = clients.submit(box.call, "fake", "slow", {"seconds": 3})
            wait_until(
                lambda: box.instance_state("fake")["calls_in_flight"] == 1,
                "the call is on its way",
            )
            assert box.process is not None

            box.process.kill()
            box.process.wait()
            box.start()

            # A connection that the old listener had not accepted yet goes with it; whoever made it connects again.
            wait_until(lambda: echo_works(box), "the successor answers")
            assert text_of(call.result()) == "slept"
        assert text_of(box.call("fake", "count")) == "1"
