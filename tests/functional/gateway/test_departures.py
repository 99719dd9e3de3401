"""One instance takes over from another: who reaches which, and what becomes of calls, sessions and streams."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fakes.mcp_box import ROOT, Box, text_of, wait_until
from tests.harness.appliance import Created
from tests.harness.deploy_load import Load
from tests.harness.ports import free_port

LEGACY = {"MCP-Protocol-Version": "2025-06-18"}


@contextmanager
def version(number: int) -> Iterator[str]:
    """Run one version of a server, and yield its address."""
    port = free_port()
    environment = os.environ | {"VERSION": str(number), "PORT": str(port)}
    command = [sys.executable, "-m", "tests.fakes.mcp_version"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as server:
        wait_until(lambda: accepts(port), "the server listens")
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def versions() -> Iterator[tuple[str, str]]:
    """The addresses of two versions of one server."""
    with version(1) as old, version(2) as new:
        yield old, new


def hear_to_the_end(heard: Callable[[], Any]) -> None:
    while True:
        heard()


class Swap:
    """A server whose second instance stands beside the first."""

    def __init__(self, box: Box, versions: tuple[str, str]) -> None:
        self.box = box
        old, new = versions
        box.host_http("swapped", old)
        self.old = box.execute("SELECT max(id) FROM instances")
        with box.one_transaction():
            deployment = box.execute(
                "INSERT INTO deployments (server_id, number, source, config, requested_by)"
                " SELECT id, 2, '{}', '{}', 'x' FROM servers RETURNING id"
            )
            self.new = box.execute(
                "INSERT INTO instances (server_id, deployment_id, executor, name, container_id, transport, address)"
                " SELECT id, %s, 'docker', 'new', 'beef', 'streamable-http', %s FROM servers RETURNING id",
                deployment,
                new,
            )
        self.deployment = deployment
        box.wait_known()

    def take_over(self) -> None:
        """Send clients to the new one from now on."""
        with self.box.one_transaction():
            self.box.execute(
                "UPDATE instances SET leaving_since = now(), leave_by = now() + interval '1 minute'"
                " WHERE id = %s",
                self.old,
            )
            self.box.execute("UPDATE servers SET deployment_id = %s", self.deployment)
        wait_until(lambda: self.traffic(self.old)["is_left"], "everybody knows")

    def asked(self, instance: int, key: str | None = None) -> str:
        """What an instance that is asked by number says which version it is."""
        headers = {"X-Gateway-Instance": str(instance)}
        answer = self.box.call("swapped", "version", key=key, headers=headers)
        return text_of(answer) if "result" in answer else answer["error"]["message"]

    def version(self, **headers: str) -> str:
        """Which version answers clients."""
        answer = self.box.call(
            "swapped", "version", key=self.box.key, headers=LEGACY | headers
        )
        return text_of(answer)

    def traffic(self, instance: int) -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {self.box.internal_key}"}
        status, text = self.box.get(f"/instances/{instance}/traffic", bearer)
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def in_background(
        self, tool: str, **arguments: Any
    ) -> tuple[threading.Thread, list[str]]:
        """Call a tool in a thread, and return it with where the answer will be."""
        said: list[str] = []
        session = arguments.pop("session", "")
        headers = LEGACY | ({"Mcp-Session-Id": session} if session else {})

        def call() -> None:
            answer = self.box.call(
                "swapped", tool, arguments, key=self.box.key, headers=headers
            )
            said.append(text_of(answer) if "result" in answer else str(answer))

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread, said


@pytest.fixture
def swap(box: Box, versions: tuple[str, str]) -> Swap:
    return Swap(box, versions)


def test_only_the_hub_reaches_an_instance_beside_the_routed_one(swap: Swap) -> None:
    assert swap.asked(swap.new) == "2"
    assert swap.asked(swap.old) == "1"
    assert swap.asked(swap.new, key=swap.box.key) == "1"
    assert swap.version() == "1"


def test_an_instance_that_is_not_known_is_not_answered_for(swap: Swap) -> None:
    assert swap.asked(swap.new + 1000) == "swapped is running."


def test_nobody_but_the_hub_learns_what_goes_on_at_an_instance(swap: Swap) -> None:
    path = f"/instances/{swap.old}/traffic"

    assert swap.box.get(path)[0] == 404
    bearer = {"Authorization": f"Bearer {swap.box.key}"}
    assert swap.box.get(path, bearer)[0] == 404


def test_a_routed_instance_is_never_said_to_be_left(swap: Swap) -> None:
    assert swap.traffic(swap.old) == {"is_left": False, "calls": 0, "streams": 0}
    assert not swap.traffic(swap.new)["is_left"]


def test_calls_end_where_they_began_and_new_ones_go_to_the_new_one(swap: Swap) -> None:
    thread, said = swap.in_background("version", seconds=3)
    wait_until(lambda: swap.version() == "1", "the old one answers")

    swap.take_over()

    assert swap.version() == "2"
    assert swap.traffic(swap.old)["calls"] == 1
    thread.join(10)
    assert said == ["1"]
    quiet = {"is_left": True, "calls": 0, "streams": 0}
    wait_until(lambda: swap.traffic(swap.old) == quiet, "nothing goes on there")


def test_a_session_goes_on_at_the_new_one(swap: Swap) -> None:
    session = swap.box.open_session("swapped", key=swap.box.key)
    assert swap.version(**{"Mcp-Session-Id": session}) == "1"

    swap.take_over()

    assert swap.version(**{"Mcp-Session-Id": session}) == "2"


def test_an_open_stream_ends_in_order_and_is_opened_at_the_new_one(swap: Swap) -> None:
    session = swap.box.open_session("swapped", key=swap.box.key)
    with swap.box.stream("swapped", session, key=swap.box.key) as heard:
        assert heard()["params"]["data"].startswith("1 ")
        swap.take_over()
        with pytest.raises(AssertionError, match="the stream ended"):
            hear_to_the_end(heard)

    with swap.box.stream("swapped", session, key=swap.box.key) as heard:
        assert heard()["params"]["data"].startswith("2 ")


def test_a_call_that_asks_its_client_on_the_stream_gets_its_answer_after_the_switch(
    swap: Swap,
) -> None:
    session = swap.box.open_session("swapped", key=swap.box.key)
    headers = LEGACY | {"Mcp-Session-Id": session}
    with swap.box.stream("swapped", session, key=swap.box.key) as heard:
        heard()
        thread, said = swap.in_background("ask", session=session)
        while (asked := heard()).get("method") != "roots/list":
            pass
        swap.take_over()
        assert heard()["params"]["data"].startswith("1 "), (
            "the stream stays for the call"
        )
        roots = {
            "jsonrpc": "2.0",
            "id": asked["id"],
            "result": {"roots": [{"name": "here"}]},
        }
        status, _ = swap.box.post("swapped", roots, key=swap.box.key, headers=headers)
        assert status == 202
        thread.join(10)

    assert said == ["1 here"]


def test_no_call_fails_while_one_instance_takes_over_under_load(swap: Swap) -> None:
    endpoint = f"{swap.box.url}/servers/swapped/mcp"
    server = Created(0, "swapped", endpoint, swap.box.key)

    with Load(server, rate=50, long=4, long_s=1.5, streams=2) as load:
        wait_until(lambda: load.noted.answered["1"] > 20, "the old one answers")
        swap.take_over()
        wait_until(lambda: load.noted.answered["2"] > 20, "the new one answers")
        wait_until(lambda: load.noted.long_answered["2"] > 2, "long calls, too")
        quiet = {"is_left": True, "calls": 0, "streams": 0}
        wait_until(lambda: swap.traffic(swap.old) == quiet, "nothing is left there")

    assert load.noted.failed == []
    assert load.noted.moved >= 2
    assert load.noted.long_answered["1"] >= 2
