"""Clients that vanish leave nothing behind."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakes.mcp_box import Box, stdio_container, text_of, tool_call, wait_until

CLIENTS = 120
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25"},
}


def descriptors(box: Box) -> dict[str, int]:
    return {
        name: sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        for name, pid in box.children().items()
    }


def resident_kb(box: Box) -> int:
    lines = [
        line
        for pid in box.children().values()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def vanish(box: Box, number: int) -> socket.socket:
    """Send something, and return the connection to be cut."""
    kind = number % 4
    if kind == 0:
        return box.send("fake", tool_call("slow", {"seconds": 3}))
    if kind == 1:
        return box.send(
            "fake", tool_call("progress", {"pause": 1}, progressToken=number)
        )
    if kind == 2:
        return box.send("fake", INITIALIZE, cut=20)
    return box.send("fake", None)


def test_clients_that_vanish_leave_no_descriptors_calls_or_streams(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        for number in range(8):
            vanish(box, number).close()
        time.sleep(4)
        before, size_kb = descriptors(box), resident_kb(box)

        connections = [vanish(box, number) for number in range(CLIENTS)]
        time.sleep(0.5)
        for connection in connections:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            connection.close()

        def state() -> dict[str, int]:
            found = box.instance_state("fake")
            return {key: found[key] for key in ("calls_in_flight", "streams")}

        wait_until(
            lambda: state() == {"calls_in_flight": 0, "streams": 0},
            "nothing is open",
            within_s=10,
        )
        # Idle connections from a worker to the bridge are kept for the next calls, a few at most.
        wait_until(
            lambda: all(
                count <= before[name] + CLIENTS // 4
                for name, count in descriptors(box).items()
            ),
            "descriptors are back",
            within_s=10,
        )
        assert resident_kb(box) < size_kb + 20_000
        assert text_of(box.call("fake", "echo", {"message": 1})) == "Echo: 1"


def test_a_killed_worker_takes_its_calls_off_the_bridge(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_workers=1)
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        connections = [vanish(box, 0) for _ in range(10)]
        wait_until(
            lambda: box.instance_state("fake")["calls_in_flight"] == 10,
            "the calls are on their way",
        )

        box.kill_child("worker-0")

        wait_until(
            lambda: box.instance_state("fake")["calls_in_flight"] == 0,
            "the calls are off",
        )
        for connection in connections:
            connection.close()
