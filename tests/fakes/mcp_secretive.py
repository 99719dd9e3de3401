"""A stdio MCP server that uses its secrets, and tells them wherever it is asked to. Runs in a container's bare Python."""

import base64
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

TOKEN = os.environ["API_KEY"]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def use(_: Any) -> str:
    """Prove that every byte is there, without telling it."""
    place = Path("/run/secrets")
    files = [(place / name).read_bytes() for name in ("API_KEY", "CERT")]
    found = [os.environb[b"API_KEY"], *files]
    return " ".join(hashlib.sha256(item).hexdigest() for item in found)


def tell(_: Any) -> str:
    return f"It is {TOKEN}, or {json.dumps({'key': TOKEN})}."


def tell_errors(_: Any) -> str:
    complain(f"401 for Authorization: Bearer {TOKEN}")
    complain(json.dumps({"env": dict(os.environ)}))
    complain(repr(os.environ["API_KEY"]))
    complain(base64.b64encode(f"user:{TOKEN}".encode()).decode())
    complain(Path("/run/secrets/CERT").read_text())
    complain("x" * 490 + TOKEN)
    return "told"


def babble(_: Any) -> str:
    say(f"debug: the key is {TOKEN}")
    return "babbled"


def crash(_: Any) -> str:
    complain("Traceback (most recent call last):")
    complain(f"RuntimeError: cannot connect to https://api.example.org/?key={TOKEN}")
    os._exit(3)


TOOLS = {item.__name__: item for item in (use, tell, tell_errors, babble, crash)}


def answer(message: dict[str, Any]) -> Any:
    if message["method"] == "initialize":
        return {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "secretive", "version": "1"},
        }
    if message["method"] == "tools/list":
        schema = {"type": "object"}
        return {"tools": [{"name": name, "inputSchema": schema} for name in TOOLS]}
    if message["method"] == "tools/call":
        text = TOOLS[message["params"]["name"]](message["params"])
        return {"content": [{"type": "text", "text": text}]}
    return {}


for line in sys.stdin:
    message = json.loads(line) if line.strip() else {}
    if "id" in message:
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}
        say(json.dumps(reply))
