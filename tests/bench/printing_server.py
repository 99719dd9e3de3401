"""A stdio server that prints so many numbered lines a second, each with its moment. Runs in a container's bare Python.

Calls: ``pace`` {lines_per_s}, which lasts until the next one.
"""

import json
import sys
import threading
import time
from typing import Any

OPENED: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "printing", "version": "1"},
}
TOOL = {
    "name": "pace",
    "inputSchema": {
        "type": "object",
        "properties": {"lines_per_s": {"type": "integer"}},
    },
}
pace = {"lines_per_s": 0}


def _print() -> None:
    number = 0
    due = time.monotonic()
    while True:
        lines_per_s = pace["lines_per_s"]
        if lines_per_s == 0:
            time.sleep(0.02)
            due = time.monotonic()
            continue
        number += 1
        sys.stderr.write(
            f"{number} {time.time_ns()} the quick brown fox jumps over the lazy dog\n"
        )
        sys.stderr.flush()
        due += 1 / lines_per_s
        time.sleep(max(0.0, due - time.monotonic()))


threading.Thread(target=_print, daemon=True).start()
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    result: dict[str, Any] = {}
    if request["method"] == "initialize":
        result = OPENED
    elif request["method"] == "tools/list":
        result = {"tools": [TOOL]}
    elif request["method"] == "tools/call":
        pace.update(request["params"]["arguments"])
        result = {"content": [{"type": "text", "text": "ok"}], "isError": False}
    sys.stdout.write(
        json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n"
    )
    sys.stdout.flush()
