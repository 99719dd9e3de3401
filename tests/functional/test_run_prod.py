"""``scripts/run_prod.sh`` with the real programs, as a container's first process would run them, on this box."""

import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from tests.harness.ports import free_port

RUN_PROD = Path(__file__).parent.parent.parent / "scripts" / "run_prod.sh"
READY_S = 90
END_S = 20


class Foreground:
    """The script in a directory with an ``.env``; what it prints is in ``log``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "log"
        lines = {
            "JWT_SECRET": secrets.token_urlsafe(48),
            "BIND_ADDRESS": "127.0.0.1",
            "BIND_PORT": free_port(),
            "GATEWAY_BIND_ADDRESS": "127.0.0.1",
            "MCP_GATEWAY_URL": f"http://127.0.0.1:{free_port()}",
            "GW_WORKERS": 1,
            "EGRESS_SKIP_START": "true",
        }
        (home / ".env").write_text(
            "".join(f"{name}={value}\n" for name, value in lines.items())
        )
        self.environment = os.environ | {
            "DATA_DIR": str(home / "data"),
            "RUN_DIR": str(home / "run"),
            "MCP_HOST_ENV_FILE": str(home / ".env"),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [RUN_PROD], env=self.environment, stdout=output, stderr=output
            )

    def is_healthy(self) -> bool:
        return not self.call("--health").returncode

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [RUN_PROD, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_S,
        )

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + READY_S
        while not self.is_healthy():
            assert self.process
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def child(self, program: str) -> int:
        """Return the process id of one of its programs."""
        assert self.process
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in path.read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_text()
            if program in words:
                return int(pid)
        raise LookupError(program)

    def ended(self) -> int:
        assert self.process
        return self.process.wait(END_S)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def steps(self) -> list[str]:
        """Return what the script said that it does."""
        return re.findall(
            r"^run_prod: ((?:Starting|Stopping) \w+)", self.text(), re.MULTILINE
        )


@pytest.fixture
def foreground() -> Iterator[Foreground]:
    home = Path(tempfile.mkdtemp(prefix="prod-", dir="/var/tmp"))
    home.chmod(0o755)
    made = Foreground(home)
    yield made
    if made.process and made.process.poll() is None:
        made.process.terminate()
        made.ended()
    rmtree(home)


def test_gateway_before_hub_and_the_death_of_one_ends_the_other_and_is_told_by_the_exit_code(
    foreground: Foreground,
) -> None:
    foreground.start()
    foreground.wait_until_healthy()
    os.kill(foreground.child("appliance.gateway"), signal.SIGKILL)

    code = foreground.ended()

    assert code == 71
    assert foreground.steps() == [
        "Starting postgres",
        "Starting gateway",
        "Starting hub",
        "Stopping hub",
        "Stopping postgres",
    ]
    text = foreground.text()
    assert text.index("gateway_listening") < text.index("Starting hub")
    assert "database system is shut down" in text.splitlines()[-1]

    # What was killed hinders no second start, and being asked to stop is no failure.
    foreground.start()
    foreground.wait_until_healthy()
    assert foreground.process
    foreground.process.terminate()

    assert foreground.ended() == 0
    assert foreground.steps()[3:] == [
        "Stopping hub",
        "Stopping gateway",
        "Stopping postgres",
    ]
    assert "not properly shut down" not in foreground.text()


def test_wrong_settings_are_named_before_anything_starts(
    foreground: Foreground,
) -> None:
    foreground.environment["BIND_PORT"] = "many"
    foreground.start()

    assert foreground.ended() == 78
    assert "BIND_PORT" in foreground.text()
    assert foreground.steps() == []


def test_a_command_runs_instead_with_the_same_settings(foreground: Foreground) -> None:
    done = foreground.call("mcp-host", "database-url")

    assert f"{foreground.home}/run/postgres" in done.stdout.replace("%2F", "/")
