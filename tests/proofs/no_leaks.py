"""A thousand clients vanish in mid-call, in mid-stream and in mid-initialise, while workers and the bridge are killed.

They vanish before a stdio server that all share, one whose sessions have containers of their own, and one over HTTP, with a
session and without. Ten seconds after the last of them is gone, processes, containers, descriptors and memory are where they
were, and every server answers. Sessions that nobody ended end by being idle, so the idle limit is set to two seconds here.
"""

import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from appliance.core import labels
from appliance.gateway.bridge.clones import gateway_label
from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import (
    ROOT,
    Box,
    stdio_container,
    tool_call,
    wait_until,
)
from tests.harness.ports import free_port
from tests.proofs.claim import hold

CLIENTS = 1000
AT_ONCE = 50
IDLE_S = 2
BACK_WITHIN_S = 10
#: Connections that workers keep to the bridge and to servers for the next calls, a process.
KEPT_CONNECTIONS = 4
#: What allocators keep of a load that is over, of all the gateway's processes together.
KEPT_BYTES = 20 * 1024 * 1024
SERVERS = ("shared", "apart", "web")
#: Kill a child each so many clients.
KILL_EVERY = 100
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "vanishing", "version": "1"},
    },
}


class ProofBox(Box):
    """A gateway whose servers are one person's."""

    user_key = ""


@dataclass(frozen=True)
class Counted:
    """What a leak would raise."""

    processes: int
    containers: int
    descriptors: int
    #: Inside the two servers' own containers.
    inside: int
    in_flight: int
    memory_bytes: int

    def __str__(self) -> str:
        shown = [
            f"{item.name} {getattr(self, item.name)}" for item in fields(self)[:-1]
        ]
        return f"{', '.join(shown)}, memory {self.memory_bytes / 2**20:.1f} MiB PSS"


def prove() -> None:
    """Let them vanish, and count before and after."""
    random.seed(3)
    with standing() as box:
        # What is loaded and connected once, is.
        for round_ in range(2):
            vanishing(box, 60, kills=("bridge", "worker-0") if round_ else ())
        settled(box, KEPT_BYTES)
        before = counted(box)
        print(f"before  {before}")
        started = time.monotonic()
        kills = vanishing(
            box, CLIENTS, kills=("worker-0", "worker-1") * 4 + ("bridge",)
        )
        gone = time.monotonic()
        print(
            f"{CLIENTS} clients vanished within {gone - started:.0f} s; killed: {', '.join(kills)}"
        )
        while (
            broken(before, after := counted(box))
            and time.monotonic() < gone + BACK_WITHIN_S
        ):
            time.sleep(0.25)
        took_s = time.monotonic() - gone
        print(f"after   {after}")
        leaks = broken(before, after)
        if not answers(box, times=4):
            leaks.append("a server does not answer")
    hold(
        not leaks,
        f"{CLIENTS} clients, {len(kills)} kills: {'back' if not leaks else 'not back: ' + '; '.join(leaks)} "
        f"{took_s:.1f} s after the last (memory {(after.memory_bytes - before.memory_bytes) / 2**20:+.1f} MiB, "
        f"margin {KEPT_BYTES / 2**20:.0f}; descriptors {after.descriptors - before.descriptors:+d}, "
        f"margin {KEPT_CONNECTIONS} a process)",
    )


def broken(before: Counted, after: Counted) -> list[str]:
    """Return what is not back."""
    margins = {
        "descriptors": KEPT_CONNECTIONS * before.processes,
        "memory_bytes": KEPT_BYTES,
    }
    return [
        f"{item.name} {getattr(before, item.name)} -> {getattr(after, item.name)}"
        for item in fields(Counted)
        if getattr(after, item.name)
        > getattr(before, item.name) + margins.get(item.name, 0)
    ]


# -- clients


def vanishing(box: ProofBox, count: int, *, kills: tuple[str, ...]) -> list[str]:
    """Let ``count`` clients connect, do something and vanish; kill a child now and then, and return which were killed."""
    killed: list[str] = []
    gone = 0
    while gone < count:
        batch = [c for _ in range(AT_ONCE) if (c := client(box, random.randrange(6)))]
        time.sleep(random.uniform(0.05, 0.4))
        if len(killed) < len(kills) and gone >= len(killed) * min(
            KILL_EVERY, count // 2
        ):
            victim = kills[len(killed)]
            box.kill_child(victim)
            killed.append(victim)
        for connection in batch:
            vanish(connection)
        gone += len(batch)
    return killed


def client(box: ProofBox, kind: int) -> socket.socket | None:
    """Return a client in the middle of something; ``None`` where a killed worker kept it from connecting."""
    name = random.choice(SERVERS)
    with suppress(OSError):
        if kind == 0:
            return box.send(name, long(name), key=box.user_key)
        if kind == 1:
            talkative = long(name, progressToken=1)
            return box.send(
                name, talkative, key=box.user_key, session=session(box, name)
            )
        if kind == 2:
            return box.send(name, INITIALIZE, cut=30, key=box.user_key)
        if kind == 3:
            return box.send(name, INITIALIZE, key=box.user_key)
        if kind == 4:
            return box.send(name, None, key=box.user_key, session=session(box, name))
        return box.send(name, long(name), key=box.user_key, session=session(box, name))
    return None


def long(name: str, **meta: int) -> dict[str, Any]:
    """Return a call that takes a minute, with progress on the way if a token is given."""
    if name == "web":
        return tool_call("sleep", {"seconds": 60}, **meta)
    if meta:
        return tool_call("progress", {"pause": 20}, **meta)
    return tool_call("slow", {"seconds": 60})


def session(box: ProofBox, name: str) -> str:
    """Open a session and leave it behind."""
    with box.send(name, INITIALIZE, key=box.user_key) as connection:
        connection.settimeout(20)
        head = b""
        while b"\r\n\r\n" not in head and (chunk := connection.recv(65536)):
            head += chunk
    found = re.search(rb"(?i)^mcp-session-id: *(\S+)", head, re.MULTILINE)
    return found[1].decode() if found else ""


def vanish(connection: socket.socket) -> None:
    """Cut the connection as a crash does, half of the time, or as a killed process's kernel does."""
    if random.random() < 0.5:
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


# -- what stands


@contextmanager
def standing() -> Iterator[ProofBox]:
    """A gateway with two workers before three servers of one owner."""
    run_dir = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, run_dir, ignore_errors=True)
        cluster = stack.enter_context(throw_away_cluster())
        box = ProofBox(cluster.url(), run_dir, gw_workers=2, gw_session_idle=IDLE_S)
        box.migrate()
        box.start()
        stack.callback(box.stop)
        shared, apart = (stack.enter_context(stdio_container()) for _ in range(2))
        address = stack.enter_context(web_server())
        box.host_stdio("shared", shared, session_mode="shared")
        box.host_stdio("apart", apart, session_mode="per-session")
        box.host_http("web", address)
        box.execute("UPDATE servers SET owner_id = %s", box.owner)
        box.user_key = box.add_user_key(box.owner)
        wait_until(lambda: answers(box), "every server answers", within_s=60)
        yield box


@contextmanager
def web_server() -> Iterator[str]:
    """The address of an HTTP server."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_sdk", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet) as server:
        try:
            wait_until(lambda: not refuses(port), "the HTTP server listens")
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.kill()


def refuses(port: int) -> bool:
    """Whether nothing listens on ``port``."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def answers(box: ProofBox, times: int = 1) -> bool:
    """Whether every server answers so many times in a row."""
    return all(
        "result"
        in box.call(
            name,
            "echo",
            {"message": name},
            key=box.user_key,
            headers={"Mcp-Session-Id": session(box, name)},
        )
        for name in SERVERS
        for _ in range(times)
    )


# -- counting


def counted(box: ProofBox) -> Counted:
    """Count."""
    pids = family(box.pid)
    return Counted(
        processes=len(pids),
        containers=len(session_containers(box)),
        descriptors=sum(map(descriptors, pids)),
        inside=sum(inside(box.container_id(name)) for name in ("shared", "apart")),
        in_flight=in_flight(box),
        memory_bytes=sum(map(pss_bytes, pids)),
    )


def settled(box: ProofBox, margin: int) -> None:
    """Wait until two counts agree and no session has a container."""
    last = counted(box)
    for _ in range(60):
        time.sleep(1)
        now = counted(box)
        steady = abs(now.memory_bytes - last.memory_bytes) < margin / 20
        if not now.containers and not now.in_flight and steady:
            return
        last = now
    raise AssertionError(f"never at rest: {last}")


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(item for child in children for item in family(int(child)))]


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    with suppress(FileNotFoundError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0


def pss_bytes(pid: int) -> int:
    """Return a process's share of memory."""
    with suppress(FileNotFoundError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def session_containers(box: ProofBox) -> list[str]:
    """Return the containers that the gateway keeps for sessions."""
    mark = gateway_label(box.config.session_key, box.config.bridge_socket)
    command = ["docker", "ps", "-aq", f"--filter=label={labels.GATEWAY}={mark}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()


def inside(container_id: str) -> int:
    """Return how many processes a container has."""
    command = ["docker", "top", container_id]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return len(done.stdout.splitlines()) - 1


def in_flight(box: ProofBox) -> int:
    """Return the calls and streams that the bridge still keeps at the stdio servers."""
    states = [box.instance_state(name) for name in ("shared", "apart")]
    return sum(
        item.get("calls_in_flight", 0) + item.get("streams", 0)
        for state in states
        for item in (state, *state.get("sessions", ()))
    )
