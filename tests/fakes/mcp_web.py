"""An HTTP MCP server that shows what reached it and misbehaves by path. Run as ``python -m tests.fakes.mcp_web PORT``."""

import asyncio
import sys

import orjson
from aiohttp import web

SESSIONS = {"real-session"}


def result(message: dict[str, object], value: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": message.get("id"), "result": value}


def content(value: object) -> dict[str, object]:
    return {
        "content": [{"type": "text", "text": orjson.dumps(value).decode()}],
        "isError": False,
    }


async def mcp(request: web.Request) -> web.StreamResponse:
    """Answer with the headers that came."""
    if request.method == "GET":
        return await events(request)
    if request.method == "DELETE":
        return web.Response(
            status=200 if request.headers.get("Mcp-Session-Id") in SESSIONS else 404
        )
    message = orjson.loads(await request.read())
    if message["method"] == "initialize":
        opened = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "web", "version": "1"},
        }
        return web.json_response(
            result(message, opened),
            headers={"Mcp-Session-Id": "real-session", "X-Secret": "internal"},
        )
    if "id" not in message:
        return web.Response(status=202)
    if message["method"] == "tools/list":
        tools = [
            {"name": name, "inputSchema": {"type": "object"}}
            for name in ("headers", "other")
        ]
        return web.json_response(result(message, {"tools": tools}))
    return web.json_response(
        result(
            message,
            content({str(key): value for key, value in request.headers.items()}),
        )
    )


async def opened(request: web.Request) -> web.StreamResponse | None:
    """Answer whoever asks which revisions are spoken as a good server does, whatever else goes wrong here."""
    if request.method != "POST":
        return None
    message = orjson.loads(await request.read())
    if message["method"] == "tools/call":
        return None
    return await mcp(request)


async def both(request: web.Request) -> web.StreamResponse:
    """Speak either era, and know a tool that fails."""
    if request.method != "POST":
        return await mcp(request)
    message = orjson.loads(await request.read())
    if message["method"] == "server/discover":
        said = {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
        }
        return web.json_response(result(message, said))
    if message["method"] == "no/such":
        error = {"code": -32601, "message": "Method not found"}
        refused = {"jsonrpc": "2.0", "id": message["id"], "error": error}
        return web.json_response(refused)
    if message.get("params", {}).get("name") == "fail":
        return web.json_response(result(message, content("no") | {"isError": True}))
    return await mcp(request)


async def large(request: web.Request) -> web.StreamResponse:
    """Answer with 32 MiB."""
    if (answer := await opened(request)) is not None:
        return answer
    return web.Response(body=b"x" * (32 << 20), content_type="application/json")


async def events(request: web.Request) -> web.StreamResponse:
    """Send an event at once, one after a second, and then the answer."""
    if (answer := await opened(request)) is not None:
        return answer
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"jsonrpc":"2.0","method":"notifications/first"}\n\n')
    await asyncio.sleep(1)
    await response.write(b'data: {"jsonrpc":"2.0","method":"notifications/second"}\n\n')
    if request.method == "POST":
        await response.write(b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n')
    return response


async def hang(request: web.Request) -> web.StreamResponse:
    """Never answer."""
    if (answer := await opened(request)) is not None:
        return answer
    await asyncio.sleep(3600)
    raise AssertionError


async def stream_and_hang(request: web.Request) -> web.StreamResponse:
    """Open a stream, and never answer."""
    if (answer := await opened(request)) is not None:
        return answer
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b": here\n\n")
    await asyncio.sleep(3600)
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    """Promise more than is sent: as many bytes as the query says."""
    if (answer := await opened(request)) is not None:
        return answer
    length = request.query.get("bytes", "10000000")
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": length}
    )
    await response.prepare(request)
    await response.write(b'{"jsonrpc":')
    assert request.transport is not None
    request.transport.abort()
    return response


async def redirect(_request: web.Request) -> web.Response:
    """Lead elsewhere."""
    return web.Response(
        status=307, headers={"Location": "http://169.254.169.254/latest/meta-data"}
    )


async def unauthorized(_request: web.Request) -> web.Response:
    """Ask for credentials of its own."""
    return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})


def main() -> None:
    app = web.Application(client_max_size=64 << 20)
    for path, handler in {
        "/mcp": mcp,
        "/both": both,
        "/large": large,
        "/events": events,
        "/hang": hang,
        "/stream-and-hang": stream_and_hang,
        "/cut": cut,
        "/redirect": redirect,
        "/unauthorized": unauthorized,
    }.items():
        app.router.add_route("*", path, handler)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
