"""A stdio MCP server without dependencies, whose misbehaviour is chosen by tool name. Runs in a container's bare Python."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

LOCK = threading.Lock()
CANCELLED: list[Any] = []
COUNT: dict[str, Any] = {"initialize": 0, "tally": 0, "inquire": 0}
ANSWERS: dict[Any, Any] = {}
ASKED: dict[Any, threading.Event] = {}
NOTED: list[Any] = []


def send(message: Any) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def notify(method: str, params: Any) -> None:
    send({"jsonrpc": "2.0", "method": method, "params": params})


def complain(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def echo(params: Any) -> Any:
    return f"Echo: {params['arguments'].get('message')}"


def slow(params: Any) -> Any:
    time.sleep(float(params["arguments"].get("seconds", 1)))
    return "slept"


def progress(params: Any) -> Any:
    token = (params.get("_meta") or {}).get("progressToken")
    for step in range(1, 4):
        notify(
            "notifications/progress",
            {"progressToken": token, "progress": step, "total": 3},
        )
        time.sleep(float(params["arguments"].get("pause", 0.05)))
    return f"done with {token}"


def die(params: Any) -> Any:
    complain("fatal: told to die")
    os._exit(int(params["arguments"].get("code", 3)))


def garbage(_params: Any) -> Any:
    with LOCK:
        sys.stdout.write("Listening on http://localhost\n[1, 2]\n\x00\n")
        sys.stdout.flush()
    return "sorry"


def big(params: Any) -> Any:
    return "x" * int(params["arguments"]["bytes"])


def log(params: Any) -> Any:
    notify(
        "notifications/message",
        {"level": "info", "data": params["arguments"].get("data", "hello")},
    )
    return "logged"


def changed(_params: Any) -> Any:
    notify("notifications/tools/list_changed", {})
    return "changed"


def updated(params: Any) -> Any:
    notify("notifications/resources/updated", {"uri": params["arguments"]["uri"]})
    return "updated"


def cancelled(_params: Any) -> Any:
    return json.dumps(CANCELLED)


def ask(params: Any) -> Any:
    send(
        {
            "jsonrpc": "2.0",
            "id": "mine",
            "method": params["arguments"]["method"],
            "params": {},
        }
    )
    return "asked"


def inquire(params: Any) -> Any:
    """Ask the client, wait for what it says, and tell it."""
    arguments = params["arguments"]
    with LOCK:
        COUNT["inquire"] += 1
        request_id = f"inquiry-{COUNT['inquire']}"
    ASKED[request_id] = threading.Event()
    send(
        {
            "jsonrpc": "2.0",
            "id": request_id,
            "method": arguments["method"],
            "params": arguments.get("params", {}),
        }
    )
    if "withdraw" in arguments:
        time.sleep(arguments["withdraw"])
        notify("notifications/cancelled", {"requestId": request_id, "reason": "late"})
        return "withdrawn"
    ASKED[request_id].wait(20)
    said = ANSWERS[request_id]
    return json.dumps({key: said[key] for key in ("result", "error") if key in said})


def inquire_twice(params: Any) -> Any:
    return json.dumps([json.loads(inquire(params)), json.loads(inquire(params))])


def noted(_params: Any) -> Any:
    return json.dumps(NOTED)


def level(params: Any) -> Any:
    notify("notifications/message", {"level": params["arguments"]["level"], "data": 1})
    return "logged"


def announced(_params: Any) -> Any:
    return json.dumps(COUNT.get("announced"))


def make_task(params: Any) -> Any:
    return {"task": {"taskId": params["arguments"]["id"], "status": "working"}}


def count(_params: Any) -> Any:
    return str(COUNT["initialize"])


def tally(params: Any) -> Any:
    COUNT["tally"] += 1
    sys.stderr.write(f"tally {COUNT['tally']}\n")
    sys.stderr.flush()
    time.sleep(float(params["arguments"].get("seconds", 0)))
    return str(COUNT["tally"])


def meta(params: Any) -> Any:
    return json.dumps(params.get("_meta"))


TOOLS: dict[str, Callable[[Any], Any]] = {
    tool.__name__: tool
    for tool in (
        echo,
        slow,
        progress,
        die,
        garbage,
        big,
        log,
        changed,
        updated,
        cancelled,
        ask,
        count,
        tally,
        meta,
        inquire,
        inquire_twice,
        noted,
        level,
        announced,
        make_task,
    )
}


def initialize(params: Any) -> Any:
    COUNT["initialize"] += 1
    COUNT["announced"] = params.get("capabilities")
    if os.environ.get("REFUSE_SECOND") and COUNT["initialize"] > 1:
        raise ValueError("already initialized")
    wanted = os.environ.get("REVISION", params["protocolVersion"])
    if os.environ.get("REFUSE_NEWER") and params["protocolVersion"] != wanted:
        raise ValueError("unsupported protocol version")
    return {
        "protocolVersion": wanted,
        "capabilities": {
            "tools": {"listChanged": True},
            "logging": {},
            "resources": {"subscribe": True},
        },
        "serverInfo": {"name": "fake", "version": "1"},
        "instructions": "Do as you like.",
    }


def list_tools(_params: Any) -> Any:
    schema = {"type": "object", "properties": {}}
    return {
        "tools": [
            {"name": name, "description": name, "inputSchema": schema} for name in TOOLS
        ]
    }


def call_tool(params: Any) -> Any:
    params.setdefault("arguments", {})
    if params["name"] not in TOOLS:
        raise ValueError(f"Unknown tool: {params['name']}")
    said = TOOLS[params["name"]](params)
    if isinstance(said, dict):
        return said
    return {
        "content": [{"type": "text", "text": said}],
        "isError": False,
    }


def noting(what: str, params: Any) -> Any:
    NOTED.append([what, params])
    return {}


METHODS: dict[str, Callable[[Any], Any]] = {
    "initialize": initialize,
    "tools/list": list_tools,
    "tools/call": call_tool,
    "ping": lambda _: {},
    "resources/subscribe": lambda params: noting("subscribe", params),
    "resources/unsubscribe": lambda params: noting("unsubscribe", params),
    "logging/setLevel": lambda params: noting("level", params),
    "tasks/get": lambda params: {"taskId": params["taskId"], "status": "working"},
    "tasks/list": lambda _: {"tasks": [{"taskId": "anna's"}, {"taskId": "ben's"}]},
}


def answer(message: Any) -> None:
    method, request_id = message.get("method"), message.get("id")
    if method is None:
        complain(f"answered: {json.dumps(message)}")
        if request_id in ASKED:
            ANSWERS[request_id] = message
            ASKED[request_id].set()
        return
    if request_id is None:
        if method == "notifications/cancelled":
            CANCELLED.append(message["params"])
        elif method != "notifications/initialized":
            NOTED.append([method, message.get("params")])
        return
    try:
        if method not in METHODS:
            error = {"code": -32601, "message": f"no {method}"}
            send({"jsonrpc": "2.0", "id": request_id, "error": error})
            return
        send(
            {
                "jsonrpc": "2.0",
                "id": request_id,
                "result": METHODS[method](message.get("params") or {}),
            }
        )
    except ValueError as problem:
        send(
            {
                "jsonrpc": "2.0",
                "id": request_id,
                "error": {"code": -32602, "message": str(problem)},
            }
        )


def main() -> None:
    complain("fake server starting")
    if os.environ.get("SILENT"):
        time.sleep(3600)
    if os.environ.get("GARBAGE_FIRST"):
        sys.stdout.write("Welcome to the fake server!\n")
        sys.stdout.flush()
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    for line in sys.stdin:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        threading.Thread(target=answer, args=(message,), daemon=True).start()


if __name__ == "__main__":
    main()
