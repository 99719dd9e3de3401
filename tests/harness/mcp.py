"""The smallest MCP client that is still one: JSON-RPC over HTTP or over a pipe, blocking."""

import json
import subprocess
from itertools import count
from typing import Any, Self

import httpx

INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "mcp-host-tests", "version": "1"},
}


class HttpMcp:
    """A session with an endpoint."""

    def __init__(self, endpoint: str, key: str, *, timeout_s: float = 30) -> None:
        self._endpoint = endpoint
        self._client = httpx.Client(
            timeout=timeout_s,
            headers={
                "Authorization": f"Bearer {key}",
                "Accept": "application/json, text/event-stream",
            },
        )
        self._ids = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def initialize(self, opening: dict[str, Any] = INITIALIZE) -> dict[str, Any]:
        """Open the session; raises ``httpx.HTTPError`` when the endpoint is not there."""
        response = self._post(
            {
                "jsonrpc": "2.0",
                "id": next(self._ids),
                "method": "initialize",
                "params": opening,
            }
        )
        if session := response.headers.get("mcp-session-id"):
            self._client.headers["mcp-session-id"] = session
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return _result(response)

    def request(
        self, method: str, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the result of one request; raises on HTTP and JSON-RPC errors."""
        message = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": params or {},
        }
        return _result(self._post(message))

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def _post(self, message: dict[str, Any]) -> httpx.Response:
        response = self._client.post(self._endpoint, json=message)
        response.raise_for_status()
        return response


def _result(response: httpx.Response) -> dict[str, Any]:
    if response.headers["content-type"].startswith("text/event-stream"):
        data = [
            line[5:] for line in response.text.splitlines() if line.startswith("data:")
        ]
        answer = next(
            item
            for item in map(json.loads, data)
            if "id" in item and "method" not in item
        )
    else:
        answer = response.json()
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return dict(answer["result"])


class PipeMcp:
    """A stdio server started by hand."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._ids = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def initialize(self) -> dict[str, Any]:
        """Open the session."""
        result = self.request("initialize", INITIALIZE)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return result

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of one request."""
        number = next(self._ids)
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        assert self._process.stdout
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == number:
                return dict(answer["result"])
        raise RuntimeError("the server closed its output")

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
