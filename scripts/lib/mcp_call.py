"""A small MCP client: opens a session with an endpoint, lists its tools, calls one, prints the answer.

    MCP_KEY=... mcp_call.py ENDPOINT [TOOL [ARGUMENTS AS JSON]]

Standard library only, so that it shows what goes over the wire and nothing else.
"""

import json
import os
import sys
import urllib.request
from itertools import count
from typing import Any

TIMEOUT_S = 60
PROTOCOL = "2025-06-18"


class Session:
    """Streamable HTTP, as any client speaks it."""

    def __init__(self, endpoint: str, key: str) -> None:
        """Keep where to call and who calls; nothing is sent yet."""
        self._endpoint = endpoint
        self._ids = count(1)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }

    def open(self) -> dict[str, Any]:
        """Shake hands and return what the server says of itself."""
        me = {"name": "mcp-host-quickstart", "version": "1"}
        said = self.ask(
            "initialize",
            {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": me},
        )
        self._headers["MCP-Protocol-Version"] = said["protocolVersion"]
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return said

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of one request."""
        number = next(self._ids)
        answers = self._post(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        )
        answer = next(item for item in answers if item.get("id") == number)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def _post(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            self._endpoint, json.dumps(message).encode(), self._headers
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            if session := response.headers.get("Mcp-Session-Id"):
                self._headers["Mcp-Session-Id"] = session
            body = response.read().decode()
            if response.headers.get_content_type() == "text/event-stream":
                lines = body.splitlines()
                return [json.loads(line[5:]) for line in lines if line[:5] == "data:"]
            return [json.loads(body)] if body else []


def main(endpoint: str, tool: str = "", arguments: str = "{}") -> None:
    """Print the tools, and the answer of ``tool`` if one is named."""
    session = Session(endpoint, os.environ["MCP_KEY"])
    said = session.open()["serverInfo"]
    tools = [item["name"] for item in session.ask("tools/list", {})["tools"]]
    print(f"{said['name']} {said['version']} offers: {', '.join(tools)}")
    if not tool:
        return
    call = {"name": tool, "arguments": json.loads(arguments)}
    answer = session.ask("tools/call", call)
    print(f"{tool}({arguments}) answers:")
    for part in answer["content"]:
        print(part.get("text") or json.dumps(part))
    if answer.get("isError"):
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
