"""What supervisord itself does not notice, noticed by the watch in it. The programs are small, supervisord is real."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from appliance.infra import supervision
from appliance.infra.supervision import ProgramState
from appliance.infra.supervisor_config import Layout, Program, render

WAIT_S = 30
PATIENCE_S = 1

LIVES = """
import asyncio, sys, time
from pathlib import Path
from appliance.infra.heartbeat import Heartbeat, heartbeat_file
async def live():
    heart = Heartbeat(heartbeat_file(Path({run!r}), {name!r}))
    heart.beat(); time.sleep(0.2); heart.beat()
    beating = asyncio.create_task(heart.run())
    await asyncio.sleep({hangs_after})
    def stuck_here(): time.sleep(1000)
    stuck_here()
asyncio.run(live())
"""
DIES = "import time; time.sleep(1.3)"


class Box:
    """Supervisord with the watch, in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.layout = Layout(Path.cwd(), home / "log", home / "run")
        for place in (self.layout.log_dir, self.layout.run_dir):
            place.mkdir()
        programs = [
            self._program("hangs", hangs_after=1),
            self._program("lives", hangs_after=1000),
            Program("dies", [sys.executable, "-c", DIES], "KILL", 1),
        ]
        text = render(self.layout, programs, patience_s=PATIENCE_S)
        self.layout.config.write_text(text)
        command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c"]
        self.process = subprocess.Popen(
            [*command, str(self.layout.config)], stdout=subprocess.DEVNULL
        )

    def _program(self, name: str, *, hangs_after: float) -> Program:
        text = LIVES.format(
            run=str(self.layout.run_dir), name=name, hangs_after=hangs_after
        )
        script = self.home / f"{name}.py"
        script.write_text(text)
        argv = ["env", f"PYTHONPATH={Path.cwd()}", sys.executable, str(script)]
        return Program(name, argv, "KILL", 1)

    def told(self, name: str) -> ProgramState:
        return supervision.read(self.layout.run_dir).get(name, ProgramState())

    def until(
        self, name: str, condition: Callable[[ProgramState], bool]
    ) -> ProgramState:
        deadline = time.monotonic() + WAIT_S
        while not condition(found := self.told(name)):
            assert time.monotonic() < deadline, f"{found}\n{self.layout.log.read_text()}"  # fmt: skip
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    home = Path(tempfile.mkdtemp(prefix="watch-", dir="/var/tmp"))
    made = Box(home)
    yield made
    made.process.terminate()
    made.process.wait(WAIT_S)
    rmtree(home)


def test_one_that_dies_again_and_again_waits_and_one_that_hangs_is_started_again(
    box: Box,
) -> None:
    """One test, because each of these takes seconds and both go on at once."""
    before = box.until("hangs", lambda state: state.pid > 0).pid

    dies = box.until("dies", lambda state: state.restarts >= 3)
    hangs = box.until("hangs", lambda it: it.pid not in {0, before} and it.restarts > 0)

    assert "3 times" in dies.alarm
    assert "exit code 0" in dies.reason
    assert "dies is started again in 2 s" in box.layout.log.read_text()

    assert "no sign of life" in hangs.reason
    assert "stuck_here" in (box.layout.log_dir / "hangs.log").read_text()
    assert box.told("lives").restarts == 0
