"""The fastest MCP server over HTTP that Python can be: what it costs is the gateway's and not its own.

Run as ``python -m tests.bench.upstream PORT``.
"""

import asyncio
import sys
from typing import Any, cast

import msgspec
import uvloop

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def answer(body: bytes) -> bytes:
    """Return the answer to one request: the message, said again."""
    request = msgspec.json.decode(body or b"{}")
    if request.get("method") != "tools/call":
        return opening(request)
    message = request["params"]["arguments"]["message"]
    result = {
        "content": [{"type": "text", "text": f"Echo: {message}"}],
        "isError": False,
    }
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": request["id"], "result": result}
    )


def opening(request: dict[str, Any]) -> bytes:
    """Return the answer to whoever asks which revisions are spoken: those that open with ``initialize``."""
    said: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
    if request.get("method") == "initialize":
        said["result"] = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "1"},
        }
    else:
        said["error"] = {"code": -32601, "message": "Method not found"}
    return msgspec.json.encode(said)


class Server(asyncio.Protocol):
    """Reads requests with a Content-Length and answers each."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with an empty buffer."""
        self.transport = cast(
            "asyncio.Transport", transport
        )  # uvloop's are of no such class
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer whatever is complete."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = answer(self.buffer[end + 4 : end + 4 + length])
            self.buffer = self.buffer[end + 4 + length :]
            self.transport.write(HEAD % len(body) + body)


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        Server, "127.0.0.1", int(sys.argv[1]), backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
