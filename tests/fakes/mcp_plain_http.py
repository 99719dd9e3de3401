"""A streamable-HTTP MCP server without dependencies, sessions or streams. Runs in a container's bare Python."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OPENED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "plain-http", "version": "1"},
}
TOOLS = {"tools": [{"name": "nothing", "inputSchema": {"type": "object"}}]}


class Handler(BaseHTTPRequestHandler):
    """Answers one message a request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """There is no stream to be had."""
        self._answer(405, b"")

    def do_POST(self) -> None:
        """Answer what was asked."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            self._answer(202, b"")
            return
        results = {"initialize": OPENED, "tools/list": TOOLS}
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] in results:
            answer["result"] = results[message["method"]]
        else:
            answer["error"] = {"code": -32601, "message": "no such method"}
        self._answer(200, json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    # Not "": its own name would be looked up, and there may be nobody who knows.
    address = ("0.0.0.0", int(os.environ["PORT"]))  # noqa: S104 - a container's own
    ThreadingHTTPServer(address, Handler).serve_forever()
