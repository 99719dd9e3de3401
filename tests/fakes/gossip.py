"""An MCP server that tells everything it hears, on every way it has. Stdio, stdlib alone; ``gossip_web`` tells it over HTTP.

A gateway that lets any of it reach somebody else has mixed up its clients. What it cannot help with is a memory that a server
shares between its clients, so nothing here is remembered beyond a session.
"""

import itertools
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

ASK_TIMEOUT_S = 20
_LOCK = threading.Lock()
_ids = itertools.count(1)
_waiting: dict[str, tuple[threading.Event, list[Any]]] = {}

CAPABILITIES = {
    "tools": {"listChanged": True},
    "logging": {},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
}
TOOLS = [
    {"name": name, "inputSchema": {"type": "object"}} for name in ("whisper", "ask")
]


def gossip(secret: str, token: Any) -> list[tuple[str, Any]]:
    """Return the notifications that tell ``secret``."""
    notes: list[tuple[str, Any]] = [
        ("notifications/message", {"level": "info", "data": f"heard {secret}"}),
        ("notifications/resources/updated", {"uri": f"note://{secret}"}),
    ]
    if token is not None:
        progress = {"progressToken": token, "progress": 1, "message": secret}
        notes.insert(0, ("notifications/progress", progress))
    return notes


def said(text: str) -> dict[str, Any]:
    """Return a tool's result."""
    return {"content": [{"type": "text", "text": text}], "isError": False}


def question(secret: str) -> dict[str, Any]:
    """Return the parameters of an elicitation that tells ``secret``."""
    return {
        "message": f"still {secret}?",
        "requestedSchema": {
            "type": "object",
            "properties": {"word": {"type": "string"}},
        },
    }


def _send(message: dict[str, Any]) -> None:
    with _LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
        sys.stdout.flush()


def _whisper(params: Any) -> Any:
    secret = params["arguments"]["secret"]
    for method, fields in gossip(
        secret, (params.get("_meta") or {}).get("progressToken")
    ):
        _send({"method": method, "params": fields})
    return said(f"whispered {secret}")


def _ask(params: Any) -> Any:
    secret = params["arguments"]["secret"]
    key = f"ask-{next(_ids)}"
    done = _waiting[key] = (threading.Event(), [])
    _send({"id": key, "method": "elicitation/create", "params": question(secret)})
    done[0].wait(ASK_TIMEOUT_S)
    return said(f"asked {secret}: {json.dumps(done[1])}")


_CALLS: dict[str, Callable[[Any], Any]] = {"whisper": _whisper, "ask": _ask}


def _initialize(params: Any) -> Any:
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": CAPABILITIES,
        "serverInfo": {"name": "gossip", "version": "1"},
    }


def _read(params: Any) -> Any:
    return {"contents": [{"uri": params["uri"], "text": params["uri"]}]}


_METHODS: dict[str, Callable[[Any], Any]] = {
    "initialize": _initialize,
    "tools/list": lambda _: {"tools": TOOLS},
    "tools/call": lambda params: _CALLS[params["name"]](params),
    "resources/read": _read,
    "resources/subscribe": lambda _: {},
    "resources/unsubscribe": lambda _: {},
    "logging/setLevel": lambda _: {},
    "ping": lambda _: {},
}


def _hear(message: dict[str, Any]) -> None:
    if "method" not in message:
        waiting = _waiting.pop(str(message.get("id")), None)
        if waiting:
            waiting[1].append(message.get("result", message.get("error")))
            waiting[0].set()
    elif "id" in message:
        method = _METHODS.get(message["method"])
        if method is None:
            error = {"code": -32601, "message": "Method not found"}
            _send({"id": message["id"], "error": error})
        else:
            result = method(message.get("params") or {})
            _send({"id": message["id"], "result": result})


def main() -> None:
    for line in sys.stdin:
        threading.Thread(target=_hear, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
