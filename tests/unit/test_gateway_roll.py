"""Who is found of a master that was killed, and what is taken from them."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.gateway.roll import Roll, enrolled, inherited, orphans


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def leaderless(roll: Roll) -> Roll:
    """Return it as of a master that is gone."""
    return replace(roll, master_born_at=roll.master_born_at - 1)


def test_those_of_a_living_master_are_its_own(child: int, tmp_path: Path) -> None:
    enrolled(0, 0, {child: "worker-0"}).write(tmp_path)

    assert orphans(tmp_path) is None


def test_those_who_live_are_found_with_what_they_hold(
    child: int, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        snapshot = os.memfd_create("table")
        ours = {os.getpid(): "worker-0", child: "bridge"}
        leaderless(enrolled(listener.fileno(), snapshot, ours)).write(tmp_path)

        roll = orphans(tmp_path)
        assert roll is not None
        handed = inherited(roll, listener.getsockname())

        assert handed is not None
        assert handed.children == ours
        with closing(handed.socket()) as copy:
            assert copy.getsockname() == listener.getsockname()
        assert os.fstat(handed.snapshot).st_ino == os.fstat(snapshot).st_ino
        for descriptor in (snapshot, handed.snapshot):
            os.close(descriptor)


def test_a_later_process_of_the_same_number_is_nobody(
    child: int, tmp_path: Path
) -> None:
    roll = leaderless(enrolled(0, 0, {child: "worker-0"}))
    roll.write(tmp_path)
    assert orphans(tmp_path) == roll

    later = replace(roll.children[0], born_at=roll.children[0].born_at - 1)
    replace(roll, children=(later,)).write(tmp_path)

    assert orphans(tmp_path) is None


def test_those_who_ended_are_nobody(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    leaderless(enrolled(0, 0, {process.pid: "worker-0"})).write(tmp_path)

    assert orphans(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"children": [{}]}', "\0"])
def test_what_cannot_be_read_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "gateway-children.json").write_text(text)

    assert orphans(tmp_path) is None


def test_another_address_is_bound_anew() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = {os.getpid(): "worker-0"}
        roll = enrolled(listener.fileno(), listener.fileno(), ours)

        assert inherited(roll, ("127.0.0.1", 1)) is None


def test_what_is_no_listener_is_not_taken() -> None:
    reading, writing = os.pipe()
    roll = enrolled(reading, writing, {os.getpid(): "worker-0"})

    assert inherited(roll, ("127.0.0.1", 1)) is None
    os.close(reading)
    os.close(writing)
