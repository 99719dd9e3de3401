"""Calls in flight outlive everything around them that is not their own server or worker.

Long calls with progress run over stdio and over HTTP, in sessions and without, all carried by one of two workers. Meanwhile the
hub is killed, Postgres is stopped for a minute, another server is deployed anew, and the other worker is killed. None of them
may fail or miss a progress step, and while Postgres is away new calls are answered, too.
"""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.harness.appliance import Appliance, Created
from tests.harness.mcp import INITIALIZE
from tests.proofs.claim import hold

PACKAGE = "npm:@modelcontextprotocol/server-everything"
TOOL = "trigger-long-running-operation"
CALL_S = 110
STEPS = 22
POSTGRES_AWAY_S = 60
#: Of each kind.
CALLS = 2
ANSWER_S = 60
MODERN = "2026-07-28"
#: The stateless era's envelope.
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "proof", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def prove() -> None:
    """Start the calls, make trouble, and see how they end."""
    with Appliance.temporary(gw_workers=2, gw_timeout=300) as appliance:
        other = appliance.create("other", package="pypi:mcp-server-time")
        http = {"arguments": ["streamableHttp"], "transport": "streamable-http"}
        servers = [
            appliance.create("stdio", package=PACKAGE),
            appliance.create("http", package=PACKAGE, **http),
        ]
        for server in (other, *servers):
            appliance.wait_running(server)
        carrier, spare = appliance.pids("workers")
        calls = [
            LongCall(server, carrier, in_session=in_session)
            for server in servers
            for in_session in (True, False)
            for _ in range(CALLS)
        ]
        for call in calls:
            call.start()
        time.sleep(3)
        fresh = trouble(appliance, servers, other, spare)
        for call in calls:
            call.join()
        survived = carrier in appliance.pids("workers")
    for call in calls:
        print(call)
    failed = [call for call in calls if call.problem]
    hold(
        not failed and survived and fresh.answered > 0 and not fresh.failed,
        f"{len(calls)} calls of {CALL_S} s, {len(failed)} failed; {fresh.answered} new calls while Postgres was away, "
        f"{len(fresh.failed)} failed{': ' + fresh.failed[0] if fresh.failed else ''}"
        f"{'' if survived else '; the worker that carried them was replaced'}",
    )


@dataclass
class Fresh:
    """How new calls went."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)


def trouble(
    appliance: Appliance, servers: list[Created], other: Created, spare: int
) -> Fresh:
    """Make it all, and return how new calls went while Postgres was away."""
    started = time.monotonic()

    def at() -> str:
        return f"{time.monotonic() - started:5.1f} s"

    appliance.kill("hub")
    print(f"{at()} hub killed")
    supervisorctl(appliance, "stop", "postgres")
    print(f"{at()} Postgres stopped")
    fresh = new_calls(servers, POSTGRES_AWAY_S)
    supervisorctl(appliance, "start", "postgres")
    print(f"{at()} Postgres started")
    wait_ready(appliance)
    appliance.api("POST", f"/api/servers/{other.id}/redeploy")
    time.sleep(1)
    appliance.wait_running(other)
    print(f"{at()} another server deployed anew")
    os.kill(spare, signal.SIGKILL)
    print(f"{at()} the other worker killed")
    return fresh


def new_calls(servers: list[Created], for_s: float) -> Fresh:
    """Call over and over."""
    fresh = Fresh()
    until = time.monotonic() + for_s
    for server, in_session in itertools.cycle(
        itertools.product(servers, (True, False))
    ):
        if time.monotonic() > until:
            return fresh
        try:
            client = Client(server)
            if in_session:
                client.initialize()
            said = list(client.call("echo", {"message": "still here"}))
            assert "still here" in str(said[-1]["result"]), said[-1]
        except (OSError, HTTPException, AssertionError, LookupError) as error:
            fresh.failed.append(f"{server.name}: {error!r}"[:200])
        else:
            fresh.answered += 1
        time.sleep(0.5)
    raise AssertionError("a cycle ends")


def wait_ready(appliance: Appliance) -> None:
    """Wait until the hub answers with its database."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if appliance.raw("GET", "/readyz").is_success:
                return
        time.sleep(0.2)
    raise TimeoutError("the hub is not ready")


def supervisorctl(appliance: Appliance, *words: str) -> None:
    """Tell the appliance's supervisor."""
    (config,) = appliance.home.rglob("supervisord.conf")
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(config)]
    subprocess.run([*command, *words], check=True, capture_output=True)


# -- clients


class Client:
    """One connection to an endpoint.

    Args:
        worker: The worker that must have accepted it; ``None``: any.
    """

    def __init__(self, server: Created, worker: int | None = None) -> None:
        place = urlsplit(server.endpoint)
        assert place.hostname
        assert place.port
        self._path = place.path
        self._headers = {
            "Authorization": f"Bearer {server.key}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        self._session = False
        self._connection = HTTPConnection(place.hostname, place.port, timeout=ANSWER_S)
        self._connection.connect()
        while worker is not None and accepted_by(self._connection.sock) != worker:
            self._connection.close()
            self._connection.connect()

    def initialize(self) -> None:
        """Open a session."""
        list(self._post("initialize", INITIALIZE, 0))
        self._session = True

    def call(
        self, tool: str, arguments: dict[str, Any], **meta: object
    ) -> Iterator[dict[str, Any]]:
        """Call a tool and yield what comes, the answer last."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments, "_meta": meta}
        if not self._session:
            params["_meta"] = {**ENVELOPE, **meta}
            self._headers |= {
                "MCP-Protocol-Version": MODERN,
                "Mcp-Method": "tools/call",
                "Mcp-Name": tool,
            }
        yield from self._post("tools/call", params, 1)

    def _post(
        self, method: str, params: dict[str, Any], number: int
    ) -> Iterator[dict[str, Any]]:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self._connection.request(
            "POST", self._path, json.dumps(message).encode(), self._headers
        )
        answer = self._connection.getresponse()
        if found := answer.headers.get("Mcp-Session-Id"):
            self._headers["Mcp-Session-Id"] = found
        if not answer.headers["Content-Type"].startswith("text/event-stream"):
            yield json.loads(answer.read())
            return
        # What has a length is read whole, or the connection would not be free for the next request.
        lines = answer if answer.length is None else answer.read().splitlines()
        for line in lines:
            if line.startswith(b"data:") and line[5:].strip():
                yield json.loads(line[5:])


def accepted_by(connection: socket.socket) -> int:
    """Return the id of the process on the other side of a connection within this box."""
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    command = ["ss", "-Htnp", f"sport = :{theirs} and dport = :{ours}"]
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        if found := re.search(r"pid=(\d+)", shown.stdout):
            return int(found[1])
        time.sleep(0.02)
    raise TimeoutError("nobody accepted the connection")


class LongCall(threading.Thread):
    """A call that takes long, and tells how far it is."""

    def __init__(self, server: Created, worker: int, *, in_session: bool) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._in_session = in_session
        self._client = Client(server, worker)
        self.steps = 0
        self.problem = "it has not ended"

    def run(self) -> None:
        """Call, and count."""
        try:
            if self._in_session:
                self._client.initialize()
            arguments = {"duration": CALL_S, "steps": STEPS}
            for message in self._client.call(TOOL, arguments, progressToken="far"):
                self._hear(message)
        except (OSError, HTTPException, LookupError, ValueError) as error:
            self.problem = repr(error)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("method") == "notifications/progress":
            self.steps += 1
        elif "result" in message:
            missed = STEPS - self.steps
            self.problem = f"{missed} steps were not told" if missed else ""
        else:
            self.problem = str(message)[:200]

    def __str__(self) -> str:
        kind = "in a session" if self._in_session else "without a session"
        return f"{self._server.name:<5} {kind:<17} {self.steps} steps; {self.problem or 'answered'}"
