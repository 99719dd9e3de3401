"""An HTTP MCP server that loses sessions and breaks streams off, by path. Run as ``python -m tests.fakes.mcp_forgetful PORT``.

It counts what it ran, so that a test sees what was run twice.
"""

import asyncio
import sys
from typing import Any

import orjson
from aiohttp import web

SESSIONS: set[str] = set()
COUNT = {"opened": 0, "ran": 0}
#: Answers that wait for whoever takes their stream up again, by the id of its last event.
PARKED: dict[str, dict[str, Any]] = {}


def answer(message: dict[str, Any], value: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": value}


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def initialized(message: dict[str, Any]) -> web.Response:
    COUNT["opened"] += 1
    session = f"session-{COUNT['opened']}"
    SESSIONS.add(session)
    opened = {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "forgetful", "version": "1"},
    }
    return web.json_response(
        answer(message, opened), headers={"Mcp-Session-Id": session}
    )


def forgotten(request: web.Request) -> web.Response:
    if request.match_info["how"] == "400":
        error = {"code": -32000, "message": "Bad Request: No valid session ID"}
        body = {"jsonrpc": "2.0", "error": error, "id": None}
        return web.json_response(body, status=400)
    return web.Response(status=404)


async def post(request: web.Request) -> web.StreamResponse:
    message = orjson.loads(await request.read())
    if message.get("method") == "initialize":
        return initialized(message)
    if request.headers.get("Mcp-Session-Id") not in SESSIONS:
        return forgotten(request)
    if "id" not in message or "method" not in message:
        return web.Response(status=202)
    if message["method"] != "tools/call":
        return web.json_response(answer(message, {"tools": []}))
    return await call(request, message)


async def call(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
    COUNT["ran"] += 1
    said = answer(message, text(f"opened {COUNT['opened']}, ran {COUNT['ran']}"))
    match message["params"]["name"]:
        case "forget":
            SESSIONS.clear()
            return web.json_response(said)
        case "break":
            return await broken(request, None)
        case "later":
            PARKED[f"event-{COUNT['ran']}"] = said
            return await broken(request, f"event-{COUNT['ran']}")
        case _:
            return web.json_response(said)


async def broken(request: web.Request, event_id: str | None) -> web.StreamResponse:
    """Begin a stream, and break it off."""
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    await stream.write(b": begun\n\n")
    if event_id is not None:
        await stream.write(f"id: {event_id}\nretry: 50\ndata:\n\n".encode())
    await asyncio.sleep(0.05)
    assert request.transport is not None
    if event_id is None:
        request.transport.abort()
    return stream


async def get(request: web.Request) -> web.StreamResponse:
    """Give what is parked to whoever comes for it; there is no other stream."""
    parked = PARKED.pop(request.headers.get("Last-Event-ID", ""), None)
    if parked is None:
        return web.Response(status=405)
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    await stream.write(b"id: last\ndata: " + orjson.dumps(parked) + b"\n\n")
    return stream


async def delete(request: web.Request) -> web.Response:
    SESSIONS.discard(request.headers.get("Mcp-Session-Id", ""))
    return web.Response()


def main() -> None:
    app = web.Application()
    app.router.add_post("/{how}", post)
    app.router.add_get("/{how}", get)
    app.router.add_delete("/{how}", delete)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
