"""A stdio server without dependencies that knows only revision 2026-07-28. Runs in a container's bare Python."""

import json
import sys
from typing import Any

REVISION = "2026-07-28"
PREFIX = "io.modelcontextprotocol/"
LISTENING: dict[Any, dict[str, Any]] = {}


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(words: str) -> dict[str, Any]:
    return {"resultType": "complete", "content": [{"type": "text", "text": words}]}


def discover() -> dict[str, Any]:
    return {
        "resultType": "complete",
        "supportedVersions": [REVISION],
        "capabilities": {
            "tools": {"listChanged": True},
            "resources": {"subscribe": True},
            "logging": {},
        },
        "_meta": {PREFIX + "serverInfo": {"name": "pipes", "version": "1"}},
        "ttlMs": 0,
        "cacheScope": "private",
    }


def tools() -> dict[str, Any]:
    names = ("echo", "who", "ask", "log", "progress", "touch")
    schema = {"type": "object"}
    listed: list[dict[str, Any]] = [
        {"name": name, "inputSchema": schema} for name in names
    ]
    listed[0]["outputSchema"] = {"type": "array"}
    return {
        "resultType": "complete",
        "tools": listed,
        "ttlMs": 0,
        "cacheScope": "private",
    }


def ask(params: dict[str, Any]) -> dict[str, Any]:
    answers = params.get("inputResponses") or {}
    if params.get("requestState") == "asked" and "user_name" in answers:
        return text("Hello " + answers["user_name"]["content"]["name"])
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    question = {"mode": "form", "message": "Who?", "requestedSchema": schema}
    return {
        "resultType": "input_required",
        "inputRequests": {
            "user_name": {"method": "elicitation/create", "params": question}
        },
        "requestState": "asked",
    }


def tell(method: str, kind: str, **params: Any) -> None:
    """Tell whoever listens."""
    for subscription, wanted in LISTENING.items():
        if wanted.get(kind):
            meta = {PREFIX + "subscriptionId": subscription}
            send(method=method, params={**params, "_meta": meta})


def call(params: dict[str, Any]) -> dict[str, Any]:
    name, meta = params["name"], params["_meta"]
    arguments = params.get("arguments") or {}
    if name == "ask":
        return ask(params)
    if name == "who":
        return text(json.dumps(meta[PREFIX + "clientCapabilities"], sort_keys=True))
    if name == "log" and PREFIX + "logLevel" in meta:
        send(
            method="notifications/message",
            params={"level": "error", "data": meta[PREFIX + "logLevel"]},
        )
    if name == "progress":
        for step in (1, 2):
            token = meta.get("progressToken")
            send(
                method="notifications/progress",
                params={"progressToken": token, "progress": step},
            )
    if name == "touch":
        uri = "test://watched"
        tell("notifications/resources/updated", "resourceSubscriptions", uri=uri)
        tell("notifications/tools/list_changed", "toolsListChanged")
    return text(str(arguments.get("message", "done")))


def answer(message: dict[str, Any]) -> None:
    method, request_id = message["method"], message["id"]
    params = message.get("params") or {}
    if (params.get("_meta") or {}).get(PREFIX + "protocolVersion") != REVISION:
        data = {"supported": [REVISION], "requested": params.get("protocolVersion")}
        error = {"code": -32022, "message": "Unsupported version", "data": data}
        send(id=request_id, error=error)
    elif method == "server/discover":
        send(id=request_id, result=discover())
    elif method == "tools/list":
        send(id=request_id, result=tools())
    elif method == "tools/call":
        send(id=request_id, result=call(params))
    elif method == "subscriptions/listen":
        LISTENING[request_id] = params["notifications"]
        meta = {PREFIX + "subscriptionId": request_id}
        send(
            method="notifications/subscriptions/acknowledged",
            params={"notifications": params["notifications"], "_meta": meta},
        )
    else:
        send(id=request_id, error={"code": -32601, "message": f"no {method}"})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line) if line.strip() else {}
        if "id" in message and "method" in message:
            answer(message)
        elif message.get("method") == "notifications/cancelled":
            LISTENING.pop(message["params"]["requestId"], None)


if __name__ == "__main__":
    main()
