"""The master's eye on its children, with real processes for children."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.gateway.config import GatewayConfig, from_settings
from appliance.gateway.watchdog import Watchdog
from appliance.infra import supervision
from appliance.settings import Settings

PATIENCE_S = 0.2
HANGS = """
import faulthandler, signal, time
faulthandler.register(signal.SIGUSR1)
print("ready", flush=True)
def stuck_here(): time.sleep(60)
stuck_here()
"""


@dataclass
class Child:
    """A slot of the master."""

    name: str
    pid: int = 0
    started: float = 0.0


@pytest.fixture
def config(tmp_path: Path) -> GatewayConfig:
    settings = Settings(jwt_secret="x" * 32, run_dir=tmp_path)
    found = from_settings(settings, "postgresql://localhost/x")
    return replace(found, watchdog_patience_s=PATIENCE_S)


@pytest.fixture
def hanging() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_child_that_stops_beating_tells_where_it_hangs_and_is_ended(
    config: GatewayConfig, hanging: subprocess.Popen[str], tmp_path: Path
) -> None:
    child = Child("worker-0", hanging.pid, time.monotonic())
    watchdog = Watchdog(config, ["worker-0"], look_s=0)
    watchdog.look([child])
    watchdog.beats.beater(0)()
    deadline = time.monotonic() + 10

    while hanging.poll() is None:
        assert time.monotonic() < deadline
        watchdog.look([child])
        time.sleep(0.05)
    watchdog.ended(child, hanging.returncode)
    watchdog.tell([child])

    assert hanging.stderr
    assert "stuck_here" in hanging.stderr.read()
    told = supervision.read(tmp_path)["gateway:worker-0"]
    assert told.was_ended
    assert "no sign of life" in told.reason


def test_a_child_that_beats_is_left_alone_and_one_that_died_is_told_why(
    config: GatewayConfig, hanging: subprocess.Popen[str], tmp_path: Path
) -> None:
    child = Child("bridge", hanging.pid, time.monotonic())
    watchdog = Watchdog(config, ["bridge"], look_s=0)
    until = time.monotonic() + 3 * PATIENCE_S
    while time.monotonic() < until:
        watchdog.beats.beater(0)()
        watchdog.look([child])
        time.sleep(0.02)

    assert hanging.poll() is None
    watchdog.ended(child, -9)
    watchdog.tell([child])
    told = supervision.read(tmp_path)["gateway:bridge"]
    assert (told.restarts, told.reason) == (1, "it was killed by signal 9")
    assert not told.was_ended


def test_what_cannot_be_read_of_others_hides_nobody(tmp_path: Path) -> None:
    place = supervision.directory(tmp_path)
    supervision.Board(place / "a.json").show({"hub": supervision.ProgramState()})
    (place / "b.json").write_text("{broken")
    (place / "c.json").write_text('{"x": {"of another version": 1}}')

    assert set(supervision.read(tmp_path)) == {"hub"}
