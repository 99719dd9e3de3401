"""The processes that ``mcp-host up`` keeps running, for real."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

import httpx
import pytest

from tests.harness.ports import free_port
from tests.harness.prometheus import asked_for, told

WAIT_S = 30
#: What supervisord allows its processes for stopping, one after the other, with a margin.
COMMAND_S = 90


class Box:
    """A directory with an ``.env``, and ``mcp-host`` run in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.gateway_url = f"http://127.0.0.1:{free_port()}"
        settings = {
            "JWT_SECRET": secrets.token_urlsafe(48),
            "BIND_ADDRESS": "127.0.0.1",
            "BIND_PORT": self.port,
            "MCP_GATEWAY_URL": self.gateway_url,
            "GATEWAY_BIND_ADDRESS": "127.0.0.1",
            "GW_WORKERS": 1,
            "DATA_DIR": home / "data",
            "RUN_DIR": home / "run",
        }
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        (home / ".env").write_text("".join(lines))

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-m", "appliance", *command],
            cwd=self.home, capture_output=True, text=True, check=False, timeout=COMMAND_S,
        )  # fmt: skip

    def states(self) -> dict[str, str]:
        lines = [line.split() for line in self.run("status").stdout.splitlines()]
        return {words[0]: words[1] for words in lines}

    def pid(self, program: str) -> int:
        for line in self.run("status").stdout.splitlines():
            words = line.replace(",", " ").split()
            if words[0] == program:
                return int(words[3])
        raise LookupError(program)

    def scrape(self) -> str:
        """Return what Prometheus is told by hub and gateway; nothing while one of them starts."""
        try:
            return "".join(
                httpx.get(f"{url}/metrics").raise_for_status().text
                for url in (f"http://127.0.0.1:{self.port}", self.gateway_url)
            )
        except httpx.HTTPError:
            return ""

    def all_run(self) -> bool:
        found = self.states()
        return len(found) == 4 and set(found.values()) == {"RUNNING"}


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def _processes_in(home: Path) -> list[str]:
    """Return what still works in ``home``, as every process of an appliance but Postgres does."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == home:
                found.append(link.parent.name)
        except OSError:
            continue  # it ended, or is somebody else's
    return found


@pytest.fixture
def box() -> Iterator[Box]:
    home = Path(tempfile.mkdtemp(prefix="up-", dir="/var/tmp"))
    home.chmod(0o755)
    made = Box(home)
    yield made
    made.run("down")
    made.run("egress", "--remove")
    _wait(lambda: not _processes_in(home))
    rmtree(home)


def test_up_runs_everything_with_all_metrics_that_the_rules_ask_for_and_down_leaves_nothing(
    box: Box,
) -> None:
    assert box.run("up").returncode == 0
    _wait(box.all_run)
    pids = [box.pid(program) for program in ("postgres", "gateway", "egress", "hub")]
    _wait(lambda: asked_for() <= told(box.scrape()))

    assert box.run("up").stdout == "It runs already.\n"
    assert box.run("down").returncode == 0

    assert [pid for pid in pids if _alive(pid)] == []
    assert box.run("status").returncode == 3


def test_a_killed_process_comes_back(box: Box) -> None:
    box.run("up")
    _wait(box.all_run)

    for program in ("postgres", "gateway", "egress", "hub"):
        before = box.pid(program)
        os.kill(before, signal.SIGKILL)
        _wait(lambda: box.all_run() and box.pid(program) != before)  # noqa: B023 - called at once


def test_nothing_outlives_a_killed_supervisord_so_a_new_one_can_start(box: Box) -> None:
    box.run("up")
    _wait(box.all_run)
    pids = [box.pid(program) for program in ("postgres", "gateway", "egress", "hub")]

    os.kill(int((box.home / "run/supervisord.pid").read_text()), signal.SIGKILL)
    _wait(lambda: not any(_alive(pid) for pid in pids))

    assert box.run("up").returncode == 0
    _wait(box.all_run)


def test_a_taken_port_is_told_with_the_setting_that_changes_it(box: Box) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", box.port))
        taken.listen()

        done = box.run("up")

    assert done.returncode == 1
    assert str(box.port) in done.stderr
    assert "BIND_PORT" in done.stderr


def test_what_only_the_owner_may_read_is_closed_to_others(box: Box) -> None:
    box.run("up")

    modes = {
        name: (box.home / name).stat().st_mode & 0o077
        for name in ("data/log", "run/supervisor.sock")
    }

    assert modes == {"data/log": 0, "run/supervisor.sock": 0}
