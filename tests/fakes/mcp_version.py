"""An MCP server that says which version of itself it is, over HTTP or stdio. Alone in its file: it is copied into images.

Settings, from the environment: ``VERSION``; ``FAULT`` (``exits``, ``silent``, ``wrong``, ``errors``, ``dies``); ``PORT`` for
HTTP, else it speaks on its standard input and output. It keeps sessions, and numbers what it sends on a session's stream.
"""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

VERSION = os.environ.get("VERSION", "0")
FAULT = os.environ.get("FAULT", "")
BEAT_S = 0.25
TOOLS = ("version", "ask", "state")
Reply = Callable[[dict[str, Any]], Awaitable[None]]
#: What each session has: a count of its calls, and who waits for an answer of its client.
SESSIONS: dict[str, dict[str, Any]] = {}
STREAMS: dict[str, asyncio.StreamWriter] = {}


def text(words: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}], "isError": is_error}


async def call(name: str, arguments: dict[str, Any], session: str) -> dict[str, Any]:
    """Run a tool."""
    if FAULT == "errors":
        return text(f"version {VERSION} is broken", is_error=True)
    state = SESSIONS.setdefault(session, {"calls": 0, "answers": {}})
    state["calls"] += 1
    if name == "state":
        return text(f"{VERSION} {state['calls']}")
    if name == "ask":
        return text(f"{VERSION} {await ask(state, session)}")
    await asyncio.sleep(float(arguments.get("seconds", 0)))
    return text(VERSION)


async def ask(state: dict[str, Any], session: str) -> str:
    """Ask the client on its stream, and return what it says."""
    key = f"question-{VERSION}-{len(state['answers'])}"
    answer = state["answers"][key] = asyncio.get_running_loop().create_future()
    question = {"jsonrpc": "2.0", "id": key, "method": "roots/list"}
    await send_event(STREAMS[session], question)
    said = await asyncio.wait_for(answer, 30)
    return str(said["result"]["roots"][0]["name"])


async def answer_to(message: dict[str, Any], session: str) -> dict[str, Any] | None:
    """Return what is said to a message; nothing to one that is no request."""
    method, number = message.get("method"), message.get("id")
    if method is None:
        take_answer(message, session)
    if method is None or number is None:
        return None
    if FAULT == "silent":
        await asyncio.sleep(3600)
    if FAULT == "wrong":
        return {"hello": "I am not JSON-RPC"}
    if FAULT == "dies" and method == "tools/list":
        os._exit(3)
    answer = {"jsonrpc": "2.0", "id": number}
    result = await result_of(method, message.get("params") or {}, session)
    if result is None:
        return {**answer, "error": {"code": -32601, "message": f"no {method}"}}
    return {**answer, "result": result}


def take_answer(message: dict[str, Any], session: str) -> None:
    """Give the client's answer to the call that waits for it."""
    waiting = SESSIONS.get(session, {}).get("answers", {}).get(message.get("id"))
    if waiting and not waiting.done():
        waiting.set_result(message)


async def result_of(
    method: str, params: dict[str, Any], session: str
) -> dict[str, Any] | None:
    """Return the result of a request; nothing where the method is not known."""
    if method == "initialize":
        return {
            "protocolVersion": params.get("protocolVersion", "2025-06-18"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "version", "version": VERSION},
        }
    if method == "tools/list":
        schema = {"type": "object"}
        tools = [{"name": name, "inputSchema": schema} for name in TOOLS]
        return {"tools": tools}
    if method == "tools/call":
        return await call(params["name"], params.get("arguments") or {}, session)
    return {} if method == "ping" else None


# -- HTTP


async def send_event(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    data = f"id: {uuid.uuid4().hex}\ndata: {json.dumps(message)}\n\n".encode()
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


def respond(
    writer: asyncio.StreamWriter, status: int, body: bytes = b"", *lines: str
) -> None:
    head = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *lines]
    if body:
        head.append("Content-Type: application/json")
    writer.write("\r\n".join([*head, "", ""]).encode() + body)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while line := await reader.readline():
            method = line.split()[0].decode()
            headers = {}
            while (field := (await reader.readline()).strip()) != b"":
                name, _, value = field.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            await handle(method, headers.get("mcp-session-id", ""), body, writer)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def handle(
    method: str, session: str, body: bytes, writer: asyncio.StreamWriter
) -> None:
    """Answer one request."""
    if method == "DELETE":
        respond(writer, 200 if SESSIONS.pop(session, None) else 404)
        return
    message = json.loads(body) if body else {}
    lines: tuple[str, ...] = ()
    if message.get("method") == "initialize":
        session = uuid.uuid4().hex
        SESSIONS[session] = {"calls": 0, "answers": {}}
        lines = (f"Mcp-Session-Id: {session}",)
    elif session and session not in SESSIONS:
        respond(writer, 404)
        return
    if method == "GET":
        await stream(session, writer)
        return
    answer = await answer_to(message, session)
    if answer is None:
        respond(writer, 202)
    else:
        respond(writer, 200, json.dumps(answer).encode(), *lines)


async def stream(session: str, writer: asyncio.StreamWriter) -> None:
    """Say every moment which version this is."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    STREAMS[session] = writer
    number = 0
    while not writer.is_closing():
        number += 1
        params = {"level": "info", "data": f"{VERSION} {number}"}
        beat = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
        await send_event(writer, beat)
        await asyncio.sleep(BEAT_S)


async def over_http(port: int) -> None:
    server = await asyncio.start_server(serve, "0.0.0.0", port, limit=2**20)  # noqa: S104 - a container's own
    async with server:
        await server.serve_forever()


# -- stdio


async def over_stdio() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    running: set[asyncio.Task[None]] = set()

    async def reply(message: dict[str, Any]) -> None:
        if (answer := await answer_to(message, "")) is not None:
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    while line := await reader.readline():
        if line.strip():
            task = asyncio.create_task(reply(json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)


if __name__ == "__main__":
    if FAULT == "exits":
        sys.exit("this version does not start: no such setting FOO")
    port = int(os.environ.get("PORT", "0"))
    asyncio.run(over_http(port) if port else over_stdio())
