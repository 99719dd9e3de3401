"""The gossip over HTTP: sessions of revision 2025-11-25 and the stateless 2026-07-28.

Run as ``python -m tests.fakes.gossip_web PORT``. With sessions it does remember: ``tools/list`` of a session names all
that was told in it.
"""

import asyncio
import itertools
import json
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.gossip import (
    ASK_TIMEOUT_S,
    CAPABILITIES,
    TOOLS,
    gossip,
    question,
    said,
)

MODERN = "2026-07-28"
EVENTS = {"Content-Type": "text/event-stream"}
_ids = itertools.count(1)


@dataclass
class Session:
    """What one client told."""

    heard: list[str] = field(default_factory=list)
    streams: list[asyncio.Queue[Any]] = field(default_factory=list)
    waiting: dict[str, asyncio.Future[Any]] = field(default_factory=dict)


SESSIONS: dict[str, Session] = {}


def tools(session: Session) -> list[dict[str, Any]]:
    heard = [
        {"name": name, "inputSchema": {"type": "object"}} for name in session.heard
    ]
    return [*TOOLS, *heard]


async def mcp(request: web.Request) -> web.StreamResponse:
    if request.method == "POST" and "Mcp-Method" in request.headers:
        return await stateless(request)
    session = SESSIONS.get(request.headers.get("Mcp-Session-Id", ""))
    if request.method == "GET":
        return await listen(request, session)
    if request.method == "DELETE":
        SESSIONS.pop(request.headers.get("Mcp-Session-Id", ""), None)
        return web.Response()
    return await post(request, session)


async def post(request: web.Request, session: Session | None) -> web.StreamResponse:
    message = json.loads(await request.read())
    if message.get("method") == "initialize":
        return opened(message)
    if session is None:
        return web.json_response({"error": "no such session"}, status=404)
    if "method" not in message:
        waiting = session.waiting.pop(str(message["id"]), None)
        if waiting is not None:
            waiting.set_result(message.get("result", message.get("error")))
        return web.Response(status=202)
    if "id" not in message:
        return web.Response(status=202)
    return await answer(request, message, session)


def opened(message: Any) -> web.Response:
    session_id = secrets.token_hex(8)
    SESSIONS[session_id] = Session()
    result = {
        "protocolVersion": message["params"]["protocolVersion"],
        "capabilities": CAPABILITIES,
        "serverInfo": {"name": "gossip", "version": "1"},
    }
    return web.json_response(
        {"jsonrpc": "2.0", "id": message["id"], "result": result},
        headers={"Mcp-Session-Id": session_id},
    )


async def answer(
    request: web.Request, message: Any, session: Session
) -> web.StreamResponse:
    method, params = message["method"], message.get("params") or {}
    response = web.StreamResponse(headers=EVENTS)
    await response.prepare(request)

    async def send(body: dict[str, Any]) -> None:
        await response.write(
            f"data: {json.dumps({'jsonrpc': '2.0'} | body)}\n\n".encode()
        )

    result: dict[str, Any] = {}
    if method == "tools/list":
        result = {"tools": tools(session)}
    elif method == "resources/read":
        result = {"contents": [{"uri": params["uri"], "text": params["uri"]}]}
    elif method == "tools/call":
        secret = params["arguments"]["secret"]
        session.heard.append(secret)
        for name, fields in gossip(
            secret, (params.get("_meta") or {}).get("progressToken")
        ):
            await send({"method": name, "params": fields})
            for stream in session.streams:
                stream.put_nowait({"method": name, "params": fields})
        result = said(f"whispered {secret}")
        if params["name"] == "ask":
            key = f"ask-{next(_ids)}"
            future = session.waiting[key] = asyncio.get_running_loop().create_future()
            await send(
                {"id": key, "method": "elicitation/create", "params": question(secret)}
            )
            async with asyncio.timeout(ASK_TIMEOUT_S):
                result = said(f"asked {secret}: {json.dumps(await future)}")
    await send({"id": message["id"], "result": result})
    return response


async def listen(request: web.Request, session: Session | None) -> web.StreamResponse:
    if session is None:
        return web.Response(status=404)
    response = web.StreamResponse(headers=EVENTS)
    await response.prepare(request)
    queue: asyncio.Queue[Any] = asyncio.Queue()
    session.streams.append(queue)
    while True:
        body = {"jsonrpc": "2.0"} | await queue.get()
        await response.write(f"data: {json.dumps(body)}\n\n".encode())


async def stateless(request: web.Request) -> web.StreamResponse:
    message = json.loads(await request.read())
    method, params = message["method"], message.get("params") or {}
    result: dict[str, Any] = {"resultType": "complete"}
    if method == "server/discover":
        result |= {
            "supportedVersions": [MODERN],
            "capabilities": CAPABILITIES,
            "ttlMs": 0,
            "cacheScope": "private",
        }
    elif method == "tools/list":
        result |= {"tools": TOOLS, "ttlMs": 0, "cacheScope": "private"}
    elif method == "resources/read":
        result |= {"contents": [{"uri": params["uri"], "text": params["uri"]}]}
    elif method == "tools/call":
        result |= asked(params)
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})


def asked(params: Any) -> dict[str, Any]:
    secret = params["arguments"]["secret"]
    if params["name"] != "ask":
        return said(f"whispered {secret}")
    if "requestState" in params:
        told = json.dumps(params.get("inputResponses"))
        return said(f"asked {params['requestState']}: {told}")
    ask = {"method": "elicitation/create", "params": question(secret)}
    return {
        "resultType": "input_required",
        "inputRequests": {"word": ask},
        "requestState": secret,
    }


if __name__ == "__main__":
    app = web.Application()
    app.router.add_route("*", "/mcp", mcp)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
