"""The door to Nginx: found, tried, asked how it is, told to read its configuration again."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from appliance.infra import process
from appliance.proxy.errors import NginxMissingError, NginxRefusedError
from appliance.proxy.model import Places

_TRIAL_S = 60.0
_ANSWER_S = 5.0
_MOST_ANSWER = 16 * 1024
_VERSION = re.compile(r"nginx/([0-9][0-9.]{0,20})")
_GENERATION = re.compile(r"([0-9a-f]{16}) ([0-9]{1,10})")
_STATUS = re.compile(
    r"Active connections: (\d+).*?\n\s*\d+ \d+ (\d+)\s*\nReading: \d+ Writing: \d+ Waiting: (\d+)",
    re.DOTALL,
)
#: As the kernel's table calls an established connection.
_OPEN = "01"
#: What Nginx says before what is wrong.
_PREFIX = re.compile(
    r"^(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |nginx: )?\[\w+\] (?:\d+#\d+: )?"
)


@dataclass(frozen=True)
class Answering:
    """Which configuration answers, and which worker said so."""

    generation: str
    worker: int


@dataclass(frozen=True)
class Counts:
    """Nginx's own figures."""

    connections: int
    requests: int
    #: Connections that are kept and wait for a request.
    waiting: int


def program() -> str:
    """Return the path of Nginx. Blocking.

    Raises:
        NginxMissingError: It is not installed.
    """
    # Debian keeps it off the PATH of everybody but root.
    found = shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise NginxMissingError(
            "There is no Nginx on this box.",
            hint="Install it (apt-get install nginx-light), or set PROXY_ENABLED=false.",
        )
    return found


def command(config: Path) -> list[str]:
    """Return the argv that runs Nginx with ``config`` and nothing of the distribution's. Blocking."""
    return [program(), "-e", "stderr", "-c", str(config)]


async def version() -> str:
    """Return such as ``1.22.1``; empty: it does not say.

    Raises:
        NginxMissingError: It is not installed.
    """
    found_at = await asyncio.to_thread(program)
    done = await process.run([found_at, "-v"], timeout_s=_TRIAL_S)
    found = _VERSION.search(done.text)
    return found[1] if found else ""


async def complaint(config: Path) -> str:
    """Return why Nginx would not take ``config``; empty: it would.

    Raises:
        NginxMissingError: It is not installed.
    """
    run = await asyncio.to_thread(command, config)
    done = await process.run([*run, "-t", "-q"], timeout_s=_TRIAL_S)
    if done.code == 0:
        return ""
    lines = [_PREFIX.sub("", line) for line in done.lines if "[emerg]" in line]
    return (lines or list(done.lines) or ["it does not say why"])[0]


def master(places: Places) -> int | None:
    """Return the number of the first process, if it lives. Blocking."""
    try:
        pid = int(places.pid.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return None
    return pid if name == "nginx" else None


def hang_up(places: Places) -> None:
    """Have Nginx read its configuration again. Blocking.

    Raises:
        NginxRefusedError: It does not run.
    """
    pid = master(places)
    if pid is None:
        raise NginxRefusedError("Nginx does not run.")
    os.kill(pid, signal.SIGHUP)


def workers(places: Places) -> frozenset[int]:
    """Return the numbers of the processes that answer, and of those that are about to leave. Blocking."""
    pid = master(places)
    if pid is None:
        return frozenset()
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return frozenset(int(item) for item in text.split())
    return frozenset()


def are_leaving(pids: Collection[int]) -> bool:
    """Return whether none of these workers takes anything new. Blocking."""
    return all(_is_leaving(pid) for pid in pids)


def _is_leaving(pid: int) -> bool:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # it has left
    return b"worker process" not in title or b"shutting down" in title


def clients(ports: Collection[int]) -> frozenset[str]:
    """Return the connections to these ports of this box that are open now, each by a name of its own. Blocking."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
            for line in lines:
                _, local, remote, state, *_ = line.split()
                if state == _OPEN and int(local.rpartition(":")[2], 16) in ports:
                    found.add(f"{local} {remote}")
    return frozenset(found)


async def answering(places: Places) -> Answering | None:
    """Return which configuration serves; ``None``: nobody answers."""
    found = _GENERATION.fullmatch(await _ask(places, "/generation"))
    return Answering(found[1], int(found[2])) if found else None


async def counts(places: Places) -> Counts | None:
    """Return Nginx's figures; ``None``: nobody answers."""
    found = _STATUS.search(await _ask(places, "/status"))
    return Counts(int(found[1]), int(found[2]), int(found[3])) if found else None


async def _ask(places: Places, path: str) -> str:
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await _exchange(str(places.status_socket), path)
    except (OSError, TimeoutError):
        return ""


async def _exchange(socket: str, path: str) -> str:
    reader, writer = await asyncio.open_unix_connection(socket, limit=_MOST_ANSWER)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = await reader.read(_MOST_ANSWER)
        while more := await reader.read(_MOST_ANSWER):
            answer += more
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode("ascii", "replace") if b" 200 " in head[:16] else ""
