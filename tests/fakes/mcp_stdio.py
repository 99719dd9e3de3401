"""A stdio MCP server without dependencies, whose misbehaviour is chosen by tool name. Runs in a container's bare Python."""

import json
import os
import sys
import threading
import time

LOCK = threading.Lock()
SEEN_CANCELLED = []
INITIALIZED = 0
TOOLS = [
    {"name": name, "description": name, "inputSchema": {"type": "object", "properties": {}}}
    for name in ("echo", "slow", "progress", "die", "garbage", "big", "log", "cancelled", "ask", "pid", "environment")
]


def send(message):
    with LOCK:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def notify(method, params):
    send({"jsonrpc": "2.0", "method": method, "params": params})


def text(value):
    return {"content": [{"type": "text", "text": str(value)}], "isError": False}


def initialize(params):
    global INITIALIZED
    INITIALIZED += 1
    if os.environ.get("REFUSE_SECOND") and INITIALIZED > 1:
        raise ValueError("already initialized")
    wanted = os.environ.get("REVISION", params["protocolVersion"])
    if os.environ.get("REFUSE_NEWER") and params["protocolVersion"] != wanted:
        raise ValueError("unsupported protocol version")
    return {
        "protocolVersion": wanted,
        "capabilities": {"tools": {"listChanged": True}, "logging": {}},
        "serverInfo": {"name": "fake", "version": "1"},
        "instructions": "Do as you like.",
    }


def call(request_id, params):
    name, arguments = params["name"], params.get("arguments") or {}
    if name == "slow":
        time.sleep(float(arguments.get("seconds", 1)))
        return text("slept")
    if name == "progress":
        token = (params.get("_meta") or {}).get("progressToken")
        for step in range(1, 4):
            notify("notifications/progress", {"progressToken": token, "progress": step, "total": 3})
            time.sleep(0.05)
        return text("done")
    if name == "die":
        print("fatal: told to die", file=sys.stderr, flush=True)
        os._exit(int(arguments.get("code", 3)))
    if name == "garbage":
        with LOCK:
            sys.stdout.write("Listening on http://localhost\n[1, 2]\n\x00\xff\n")
            sys.stdout.flush()
        return text("sorry")
    if name == "big":
        return text("x" * int(arguments["bytes"]))
    if name == "log":
        notify("notifications/message", {"level": "info", "data": arguments.get("data", "hello")})
        return text("logged")
    if name == "changed":
        notify("notifications/tools/list_changed", {})
        return text("changed")
    if name == "cancelled":
        return text(json.dumps(SEEN_CANCELLED))
    if name == "ask":
        send({"jsonrpc": "2.0", "id": "mine", "method": arguments["method"], "params": {}})
        return text("asked")
    if name == "pid":
        return text(f"{os.getpid()} {INITIALIZED}")
    return text(f"Echo: {arguments.get('message')}")


def answer(message):
    method, request_id, params = message.get("method"), message.get("id"), message.get("params") or {}
    if request_id is None:
        if method == "notifications/cancelled":
            SEEN_CANCELLED.append(params)
        return
    if method is None:
        print(f"answered: {json.dumps(message)}", file=sys.stderr, flush=True)
        return
    try:
        if method == "initialize":
            result = initialize(params)
        elif method == "tools/list":
            result = {"tools": TOOLS}
        elif method == "tools/call":
            result = call(request_id, params)
        elif method in ("ping", "resources/subscribe", "logging/setLevel"):
            result = {}
        else:
            send({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32601, "message": f"no {method}"}})
            return
    except ValueError as error:
        send({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32602, "message": str(error)}})
        return
    send({"jsonrpc": "2.0", "id": request_id, "result": result})


def main():
    print("fake server starting", file=sys.stderr, flush=True)
    if os.environ.get("SILENT"):
        time.sleep(3600)
    if os.environ.get("GARBAGE_FIRST"):
        print("Welcome to the fake server!", flush=True)
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    for line in sys.stdin:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        threading.Thread(target=answer, args=(message,), daemon=True).start()


main()
