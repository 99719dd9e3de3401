"""Starting, stopping and asking supervisord, which keeps the appliance's processes running."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from supervisor.xmlrpc import SupervisorTransport

from appliance.core.errors import UnavailableError
from appliance.infra.directories import own_directory
from appliance.infra.errors import PortInUseError
from appliance.infra.ports import obstacle
from appliance.infra.releases import own_command
from appliance.infra.supervisor_config import Layout, Program, render
from appliance.settings import Settings

_START_S = 15.0
_POLL_S = 0.05
_POSTGRES_STOP_S = 30
#: Seconds that a process gets beyond those it gives its own work when it stops.
_MARGIN_S = 5


class SupervisorError(UnavailableError):
    """Supervisord did not do what it was asked."""

    code = "supervisor_failed"


@dataclass(frozen=True)
class ProcessState:
    """One process, as supervisord sees it."""

    name: str
    #: ``RUNNING``, ``STARTING``, ``BACKOFF``, ...
    state: str
    #: Such as ``pid 123, uptime 0:01:02``, or why it does not run.
    description: str
    #: 0: it does not run.
    pid: int = 0


def programs(settings: Settings) -> list[Program]:
    """Return what must run with ``settings``, in the order in which it starts. Pure but for this Python's own path."""
    found = []
    if settings.database_url is None:
        found.append(Program("postgres", _own("postgres"), "INT", _POSTGRES_STOP_S))
    if not settings.gateway_skip_start:
        # Twice: after the calls, the bridge and the scribe end, one after the other.
        wait_s = round(settings.gw_graceful_timeout) + 2 * _MARGIN_S
        found.append(Program("gateway", _own("gateway"), "TERM", wait_s))
    if not settings.egress_skip_start:
        found.append(Program("egress", _own("egress"), "TERM", _MARGIN_S))
    wait_s = round(settings.hub_graceful_timeout) + _MARGIN_S
    found.append(Program("hub", _own("serve"), "TERM", wait_s))
    if settings.proxy_enabled:
        found.append(Program("proxy", _own("proxy"), "TERM", _MARGIN_S))
        # Last in, first out: it takes nothing new, and what is open may end as long as the gateway would let it.
        wait_s = round(settings.gw_graceful_timeout) + _MARGIN_S
        found.append(Program("nginx", _own("nginx"), "QUIT", wait_s))
    return found


def _own(command: str) -> list[str]:
    """Return the argv of one of our commands; it ends with supervisord, even when that is killed.

    So a new supervisord never meets processes of the old one.
    """
    dying = ["setpriv", "--pdeathsig=TERM", "--"] if shutil.which("setpriv") else []
    return [*dying, *own_command(command)]


def layout(settings: Settings) -> Layout:
    """Return where supervisord keeps its things."""
    return Layout(
        Path.cwd(), settings.data_dir.absolute() / "log", settings.run_dir.absolute()
    )


def up(settings: Settings) -> bool:
    """Start everything in the background and return whether it had to be started.

    Returns when supervisord answers; the processes may still be starting.

    Raises:
        PortInUseError: Another program has one of the ports.
        SupervisorError: Supervisord did not start; the text has its last words.
    """
    place = layout(settings)
    with _prepared(settings, place):
        if _states(place) is not None:
            return False
        _wait_until_gone(settings, place)
        refuse_taken_ports(settings)
        subprocess.run(
            _supervisord(place),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        deadline = time.monotonic() + _START_S
        while _states(place) is None:
            if time.monotonic() > deadline:
                raise SupervisorError(f"supervisord did not start: {_tail(place.log)}")
            time.sleep(_POLL_S)
    return True


def exec_up(settings: Settings) -> NoReturn:
    """Become supervisord in the foreground, as systemd and containers want it."""
    place = layout(settings)
    with _prepared(settings, place):
        if _states(place) is not None:
            raise SupervisorError(
                "The appliance runs already.", hint="Stop it first: mcp-host down"
            )
        refuse_taken_ports(settings)
    command = [*_supervisord(place), "--nodaemon"]
    os.execv(command[0], command)  # noqa: S606 - the point of this function


def down(settings: Settings) -> bool:
    """Stop everything, wait until it is gone, and return whether anything ran.

    Raises:
        SupervisorError: It did not stop in time.
    """
    place = layout(settings)
    if not _is_there(place):
        return False
    with contextlib.suppress(OSError, xmlrpc.client.Error):
        _door(place).shutdown()
    _wait_until_gone(settings, place)
    return True


def status(settings: Settings) -> list[ProcessState] | None:
    """Return each process's state, or ``None`` when supervisord does not run."""
    return _states(layout(settings))


def restart(settings: Settings, name: str) -> None:
    """Stop one process in order and start it again; it runs for a second when this returns. Blocking.

    Raises:
        SupervisorError: It does not stay up, or there is no such process.
    """
    door = _door(layout(settings))
    try:
        with contextlib.suppress(xmlrpc.client.Fault):  # it was not running
            door.stopProcess(name)
        door.startProcess(name)
    except (OSError, xmlrpc.client.Error) as error:
        raise SupervisorError(f"{name} could not be restarted: {error}") from error


def send(settings: Settings, name: str, signal_name: str) -> None:
    """Send a signal, named without the SIG, to one process.

    Raises:
        SupervisorError: It does not run.
    """
    try:
        _door(layout(settings)).signalProcess(name, signal_name)
    except (OSError, xmlrpc.client.Error) as error:
        raise SupervisorError(f"{name} could not be told: {error}") from error


def refresh(settings: Settings) -> list[str]:
    """Have a running supervisord know the programs that these settings ask for, and return which were added or taken away.

    One that is started differently now is told so at its own next start; it runs on as it is.

    Raises:
        SupervisorError: Supervisord does not run, or refuses.
    """
    place = layout(settings)
    with _prepared(settings, place):
        door = _door(place)
        try:
            ((added, _changed, removed),) = door.reloadConfig()
            for name in removed:
                with contextlib.suppress(xmlrpc.client.Fault):
                    door.stopProcessGroup(name)
                door.removeProcessGroup(name)
            for name in added:
                door.addProcessGroup(name)
        except (OSError, xmlrpc.client.Error) as error:
            raise SupervisorError(
                f"supervisord refused its programs: {error}"
            ) from error
    return [*added, *removed]


def refuse_taken_ports(settings: Settings) -> None:
    """Check that our ports are free, so that a taken one is told here and not in a log.

    Raises:
        PortInUseError: One is not; the text names it and the setting that changes it.
    """
    wanted = [("BIND_PORT", settings.bind_address, settings.bind_port)]
    if not settings.gateway_skip_start:
        port = urlsplit(settings.mcp_gateway_url).port or 80
        wanted.append(("MCP_GATEWAY_URL", settings.gateway_bind_address, port))
    if settings.proxy_enabled:
        wanted += _front_door_ports(settings)
    for name, address, port in wanted:
        if problem := obstacle(address, port):
            raise PortInUseError(
                f"{address} port {port} cannot be listened on: {problem}.",
                hint=f"Stop what uses it, or set {name} to another.",
            )


def _front_door_ports(settings: Settings) -> list[tuple[str, str, int]]:
    # What cannot be listened on because there is no IPv6 is left out by Nginx, too.
    addresses = [
        item for item in settings.proxy_bind_addresses.split(",") if "[" not in item
    ]
    ports = {
        "PROXY_HTTP_PORT": settings.proxy_http_port,
        "PROXY_HTTPS_PORT": settings.proxy_https_port,
    }
    return [(name, item, port) for name, port in ports.items() for item in addresses]


def _supervisord(place: Layout) -> list[str]:
    return [
        sys.executable,
        "-P",
        "-m",
        "supervisor.supervisord",
        "-c",
        str(place.config),
    ]


@contextlib.contextmanager
def _prepared(settings: Settings, place: Layout) -> Iterator[None]:
    """Make the directories and the configuration, and let nobody else start in the meantime."""
    # Root's directories may be passed through, because Postgres lives below as another user; what is in them is closed.
    passable = 0o711 if os.geteuid() == 0 else 0o700
    own_directory(settings.data_dir.absolute(), mode=passable)
    own_directory(place.run_dir, mode=passable)
    own_directory(place.log_dir, mode=0o700)
    with (place.run_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place.config.write_text(
            render(place, programs(settings), patience_s=settings.watchdog_patience)
        )
        yield


def _door(place: Layout) -> Any:
    """Return supervisord's XML-RPC interface; what it answers has no types."""
    transport = SupervisorTransport(None, None, f"unix://{place.socket}")
    return cast(
        "Any", xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    ).supervisor


def _states(place: Layout) -> list[ProcessState] | None:
    try:
        found: list[dict[str, Any]] = _door(place).getAllProcessInfo()
    except (OSError, xmlrpc.client.Error):
        return None
    return [
        ProcessState(
            str(item["name"]),
            str(item["statename"]),
            str(item["description"]),
            int(item["pid"]),
        )
        for item in found
    ]


def _is_there(place: Layout) -> bool:
    """Return whether supervisord lives; while it stops it lives, but refuses every question."""
    try:
        _door(place).getState()
    except xmlrpc.client.Fault:
        return True
    except (OSError, xmlrpc.client.Error):
        return False
    return True


def _wait_until_gone(settings: Settings, place: Layout) -> None:
    allowed_s = sum(program.stop_wait_s for program in programs(settings)) + _MARGIN_S
    deadline = time.monotonic() + allowed_s
    while _is_there(place):
        if time.monotonic() > deadline:
            raise SupervisorError(f"supervisord did not stop: {_tail(place.log)}")
        time.sleep(_POLL_S)


def _tail(log: Path) -> str:
    if not log.is_file():
        return "it wrote no log."
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
