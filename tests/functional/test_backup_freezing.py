"""A frozen file system thaws whatever becomes of who froze it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.backups.freezing import frozen
from tests.engine import NO_DISKS

WRITE = "import sys; open(sys.argv[1] + '/written', 'a').write('x')"
HOLD = """
import sys, time
from pathlib import Path
from appliance.backups.freezing import frozen
with frozen(Path(sys.argv[1]), at_most_s=60) as outcome:
    print(outcome.was_frozen, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, as /data of a server is."""
    if NO_DISKS:
        pytest.skip(NO_DISKS)
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * 1024**2)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def writing(place: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", WRITE, str(place)])


def waits(process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether a process still waits after it had time enough."""
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


def test_writes_wait_until_the_copy_is_whole(place: Path) -> None:
    with frozen(place, at_most_s=30) as outcome:
        writer = writing(place)
        has_waited = waits(writer)
    writer.wait(10)

    assert (outcome.was_frozen, outcome.to_the_end, has_waited) == (True, True, True)
    assert (place / "written").read_text() == "x"


def test_a_copy_that_takes_too_long_is_told_and_holds_nobody_up(place: Path) -> None:
    with frozen(place, at_most_s=0.2) as outcome:
        writer = writing(place)
        writer.wait(10)

    assert outcome.was_frozen
    assert not outcome.to_the_end


def test_a_kill_of_who_froze_it_thaws_it(place: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"True\n"

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    writer = writing(place)
    began = time.monotonic()
    writer.wait(10)

    assert time.monotonic() - began < 10


def test_what_cannot_be_frozen_is_simply_not() -> None:
    with frozen(Path("/proc"), at_most_s=1) as outcome:
        pass

    assert not outcome.was_frozen
