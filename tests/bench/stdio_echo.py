"""A stdio server that does nothing but echo, one message after the other. Runs in a container's bare Python."""

import json
import sys
from typing import Any

OPENED: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "echo", "version": "1"},
}

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    if request["method"] == "initialize":
        result = OPENED
    else:
        text = f"Echo: {request['params']['arguments']['message']}"
        result = {"content": [{"type": "text", "text": text}], "isError": False}
    sys.stdout.write(
        json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n"
    )
    sys.stdout.flush()
