"""Each GW_* setting does what docs/configuration.md says, where no other test shows it: workers, keep-alive, log level."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.fakes.mcp_box import Box

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_workers_run_as_gw_workers_says(
    make_box: Callable[..., Box], count: int
) -> None:
    box = make_box(gw_workers=count)

    workers = [name for name in box.children() if name.startswith("worker-")]

    assert len(workers) == count


def seconds_until_hung_up(box: Box) -> float:
    """Ask once, stay, and return how long it took until the worker hung up."""
    with socket.create_connection(("127.0.0.1", box.port), timeout=15) as client:
        client.sendall(REQUEST)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        while client.recv(65536):
            pass
        return time.monotonic() - started


def test_an_idle_connection_is_hung_up_after_gw_keepalive(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_keepalive=1)

    assert 0.5 < seconds_until_hung_up(box) < 6


def test_an_idle_connection_that_may_stay_stays(make_box: Callable[..., Box]) -> None:
    box = make_box(gw_keepalive=60)

    with socket.create_connection(("127.0.0.1", box.port), timeout=15) as client:
        for _ in range(2):
            client.sendall(REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(2)


def levels(box: Box) -> set[str]:
    """The levels of what the gateway logged."""
    found = set()
    for line in box.log.read_text().splitlines():
        if line.startswith("{"):
            found.add(str(json.loads(line).get("level", "")))
    return found


@pytest.mark.parametrize(
    ("own", "common", "shown"),
    [("debug", "error", True), (None, "debug", True), ("warning", "debug", False)],
)
def test_the_gateway_logs_at_gw_log_level_else_at_log_level(
    make_box: Callable[..., Box], own: str | None, common: str, *, shown: bool
) -> None:
    box = make_box(gw_log_level=own, log_level=common, wait=False)
    deadline = time.monotonic() + 15
    while box.get("/healthz")[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.05)

    box.post("nobody", {"jsonrpc": "2.0", "id": 1, "method": "ping"})

    assert bool(levels(box) & {"info", "debug"}) is shown
