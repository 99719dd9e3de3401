"""Becoming the gateway, and trying out whether one would become it."""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from appliance.core.errors import UnavailableError
from appliance.gateway.config import GatewayConfig, from_settings
from appliance.gateway.handover import Handed

if TYPE_CHECKING:
    from appliance.settings import Settings

_READY_S = 30.0
_LOOK_EVERY_S = 0.05
_LAST_WORDS = 2000


class TrialFailedError(UnavailableError):
    """The gateway would not come up."""

    code = "gateway_trial_failed"


def run(settings: "Settings", handed: int | None = None) -> NoReturn:
    """Become the gateway. Does not return.

    The process replaces itself by one that never loaded the libraries which read settings and commands: all gateway
    processes together are smaller for it.

    Args:
        handed: The descriptor of what a predecessor left.
    """
    # Asked for a hand-over before it can do one, it would end.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    _exec(_config(settings), handed)


def check(settings: "Settings") -> None:
    """Start a gateway of one worker beside the one that serves, see that it reads its table, and end it. Blocking.

    It takes over a listener as a successor does, on a port that nobody knows, and has a bridge and traces of nobody's.

    Raises:
        TrialFailedError: It does not come up; the text has its last words.
    """
    with tempfile.TemporaryDirectory(prefix="mcp-host-trial-") as scratch:
        place = Path(scratch)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003 - the library's own signature
            config = dataclasses.replace(
                _config(settings),
                workers=1,
                traces=False,
                graceful_timeout_s=1.0,
                run_dir="",
                bridge_socket=str(place / "bridge.sock"),
            )
            pid = _fork(config, listener.fileno(), place / "log")
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/readyz"
        try:
            _wait(pid, url, place / "log")
        finally:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)


def _config(settings: "Settings") -> GatewayConfig:
    from appliance.infra.postgres import database_url  # noqa: PLC0415 - not for the lean process

    return from_settings(settings, database_url(settings))


def _exec(config: GatewayConfig, handed: int | None) -> NoReturn:
    descriptor = os.memfd_create("gateway-config", 0)
    os.write(descriptor, config.to_json().encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    arguments = [sys.executable, "-P", "-m", "appliance.gateway", str(descriptor)]
    if handed is not None:
        arguments.append(str(handed))
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter


def _fork(config: GatewayConfig, listener: int, log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        snapshot = os.memfd_create("gateway-trial", 0)
        _exec(config, Handed(listener, snapshot).store())
    finally:
        os._exit(1)


def _wait(pid: int, url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    told = "it did not listen"
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - our own address
                return
        except HTTPError as error:
            told = error.read().decode(errors="replace").strip()
        except (URLError, OSError) as error:
            told = str(error)
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        time.sleep(_LOOK_EVERY_S)
    words = log.read_text(errors="replace").strip()[-_LAST_WORDS:]
    raise TrialFailedError(f"This release's gateway does not come up: {told}\n{words}")
