"""Processes that write and copy traces as the gateway's do, without a gateway around them.

``producer <directory> <limit> <rows a second> <rows>``: a worker's ring; after each row it prints its number, and ``idle`` once
all are taken in. ``scribe <directory> <database url>``: the scribe; says nothing.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import uvloop

from appliance.gateway.counters import Counters
from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.ring import Ring
from appliance.gateway.traces.scribe import run_scribe
from appliance.gateway.traces.spool import Spool
from appliance.infra.connections import connection_arguments
from appliance.infra.memory_files import MemoryFiles

SERVER_ID = 7


def invocation(number: int, **fields: object) -> Invocation:
    values: dict[str, object] = {
        "started_at": time.time(),
        "duration_s": 0.001,
        "server_id": SERVER_ID,
        "bundle_id": 0,
        "deployment_id": 3,
        "principal": "user:5",
        "method": "tools/call",
        "target": f"tool-{number}",
        "http_status": 200,
        "error_class": "",
        "rpc_code": 0,
        "request_bytes": 100,
        "response_bytes": 200,
        "traceparent": "",
        "request": b'{"method":"tools/call"}',
        "response": b'{"result":{}}',
    }
    return Invocation(**(values | fields))  # type: ignore[arg-type]  # each is of its field's type


async def produce(directory: Path, limit: int, rate: float, rows: int) -> None:
    dropped = [0]

    def drop(count: int) -> None:
        dropped[0] += count

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    ring = Ring(Spool(directory, limit), loop, dropped=drop)
    started = time.monotonic()
    for number in range(rows):
        ring.add(invocation(number))
        os.write(1, b"%d\n" % number)
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if stop.is_set():
            break
    if not stop.is_set():
        await asyncio.sleep(0.1)
        os.write(1, b"idle %d\n" % dropped[0])
        await stop.wait()
    ring.close()


def main(role: str, directory: str, *rest: str) -> None:
    if role == "producer":
        limit, rate, rows = rest
        uvloop.run(produce(Path(directory), int(limit), float(rate), int(rows)))
    else:
        row = Counters(1).row(0)
        memory = MemoryFiles(None)
        run_scribe(Path(directory), connection_arguments(rest[0]), row, memory)


if __name__ == "__main__":
    main(*sys.argv[1:])
