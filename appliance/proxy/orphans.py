"""Workers whose Nginx was killed: they serve on, and keep the ports, until the next Nginx has them."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from appliance.infra.errors import PortInUseError
from appliance.infra.ports import obstacle
from appliance.proxy import adopting, nginx
from appliance.proxy.model import Places

log = structlog.get_logger("proxy")

_FREE_WITHIN_S = 5.0
_POLL_S = 0.01
_LEVEL = {True: logging.WARNING, False: logging.DEBUG}


def make_way(places: Places, addresses: Sequence[str], ports: Sequence[int]) -> None:
    """Take the ports from what an earlier Nginx left behind; what it answers just now it may finish. Blocking.

    Its workers take connections until ``dismiss`` tells them to leave, or leave at once where their sockets cannot be had.

    Raises:
        PortInUseError: Nginx runs already, or somebody else has a port.
    """
    if (pid := nginx.master(places)) is not None and pid != os.getpid():
        raise PortInUseError(
            f"Nginx runs already, as process {pid}.", hint="Stop the other one first."
        )
    left = list(_left_behind(places))
    sockets = adopting.listeners(left, ports)
    log.log(_LEVEL[bool(left)], "nginx.left_behind", pids=left, sockets=len(sockets))
    if len(sockets) >= len(addresses) * len(ports):
        places.left_behind.write_text(" ".join(map(str, left)))
        adopting.hand_on(sockets)
    else:
        _tell_to_leave(left)
        _wait_until_free(addresses, ports)
    places.status_socket.unlink(missing_ok=True)
    places.leaving.unlink(missing_ok=True)


def dismiss(places: Places) -> None:
    """Have those leave whose sockets the Nginx has that answers now. Blocking."""
    try:
        told = places.left_behind.read_text().split()
    except OSError:
        return
    workers = nginx.workers(places)
    _tell_to_leave(
        [int(pid) for pid in told if _is_worker(int(pid)) and int(pid) not in workers]
    )
    places.left_behind.unlink(missing_ok=True)


def _tell_to_leave(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)


def _is_worker(pid: int, group: int | None = None) -> bool:
    """Return whether it is a worker of Nginx, and of this process group."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False  # it has just ended
    fields = rest.split()
    is_worker = name.endswith("(nginx") and title.startswith(b"nginx: worker")
    return is_worker and fields[0] != "Z" and group in {None, int(fields[2])}


def _left_behind(places: Places) -> Iterator[int]:
    """Yield workers of the process that wrote the pid file: they are still of its group."""
    try:
        group = int(places.pid.read_text())
    except (OSError, ValueError):
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_worker(int(entry.name), group):
            yield int(entry.name)


def _wait_until_free(addresses: Sequence[str], ports: Sequence[int]) -> None:
    deadline = time.monotonic() + _FREE_WITHIN_S
    for address in addresses:
        for port in ports:
            while problem := obstacle(address.strip("[]"), port):
                if time.monotonic() > deadline:
                    raise PortInUseError(
                        f"{address} port {port} cannot be listened on: {problem}.",
                        hint="Stop what uses it, or set PROXY_HTTP_PORT and PROXY_HTTPS_PORT to others.",
                    )
                time.sleep(_POLL_S)
