"""Somebody who calls a tool without a pause, and notes who answered."""

import threading
from collections import Counter
from typing import Any, Self

import httpx

from tests.harness.appliance import Created
from tests.harness.mcp import INITIALIZE, HttpMcp

PAUSE_S = 0.05
TOOL = "version"


def answer_of(server: Created) -> str:
    """Call the tool once, in a session of its own, and return what it says."""
    with HttpMcp(server.endpoint, server.key) as client:
        client.initialize()
        return _text(client.call(TOOL))


class Caller:
    """Calls in the background from entering to leaving."""

    def __init__(self, server: Created) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        headers = {
            "Authorization": f"Bearer {self._server.key}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": str(INITIALIZE["protocolVersion"]),
        }
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": TOOL, "arguments": {}},
        }
        with httpx.Client(headers=headers, timeout=30) as client:
            while not self._stop.wait(PAUSE_S):
                try:
                    answer = client.post(self._server.endpoint, json=message)
                    self.answers[_text(_result(answer))] += 1
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    self.failures.append(repr(error))


def _result(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [
            line for line in response.text.splitlines() if line.startswith("data:")
        ]
        found = httpx.Response(200, text=lines[-1].removeprefix("data:")).json()
    else:
        found = response.json()
    return dict(found["result"])


def _text(result: dict[str, Any]) -> str:
    return str(result["content"][0]["text"])
