"""Programs: what they see, what they say, and how they end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.infra.process import (
    LineSplitter,
    ProgramMissingError,
    ProgramTimeoutError,
    capture,
    child_environment,
    kill_marked,
    run,
)

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except (FileNotFoundError, ProcessLookupError):  # the latter between open and read
        return False


async def ended(pid: int) -> None:
    for _ in range(100):
        if not alive(pid):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{pid} still runs")


async def test_both_outputs_come_as_lines_in_order() -> None:
    done = await run(["sh", "-c", "echo one; echo two >&2; printf three; exit 4"])

    assert (done.code, done.lines) == (4, ("one", "two", "three"))


async def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    done = await run(["printf", "%s", f"$(touch {tmp_path}/made); *"])

    assert done.text == f"$(touch {tmp_path}/made); *"
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_program_sees_what_is_listed_and_nothing_else() -> None:
    own = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://p",
        "JWT_SECRET": "s",
        "DATABASE_URL": "d",
        "VAULT_TOKEN": "v",
    }

    assert child_environment(own, {"OWN": "1"}, mark="m") == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://p",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "OWN": "1",
        "MCP_HOST_PROCESS": "m",
    }


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramMissingError, match="no-such-program is not on this box"):
        await run(["no-such-program"])


async def test_lines_are_told_as_they_come() -> None:
    told: list[tuple[str, float]] = []
    started = time.monotonic()

    await run(
        ["sh", "-c", "echo now; sleep 1; echo later"],
        on_line=lambda line: told.append((line, time.monotonic() - started)),
    )

    assert told[0][0] == "now"
    assert told[0][1] < 0.8 < told[1][1]


async def test_a_timeout_ends_the_whole_group() -> None:
    pids: list[int] = []

    with pytest.raises(ProgramTimeoutError, match=r"longer than 0\.5 seconds"):
        await run(
            ["sh", "-c", "sleep 60 & echo $!; wait"],
            on_line=lambda line: pids.append(int(line)),
            timeout_s=0.5,
        )

    await ended(pids[0])


async def test_cancelling_kills_what_does_not_listen() -> None:
    pids: list[int] = []
    script = "trap '' INT; sleep 60 & echo $!; while true; do sleep 1; done"
    running = asyncio.create_task(
        run(["sh", "-c", script], on_line=lambda line: pids.append(int(line)))
    )
    while not pids:
        await asyncio.sleep(0.02)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await ended(pids[0])


async def test_a_child_that_keeps_the_output_open_is_not_waited_for() -> None:
    started = time.monotonic()

    done = await run(["sh", "-c", "setsid sleep 60 & echo started"], mark="unit-stray")

    assert done.lines == ("started",)
    assert time.monotonic() - started < 5
    assert len(await asyncio.to_thread(kill_marked, "unit-stray")) >= 1


async def test_marked_programs_are_found_and_others_left_alone() -> None:
    running = asyncio.create_task(run(["sleep", "60"], mark="unit-one"))
    other = asyncio.create_task(run(["sleep", "60"], mark="unit-one-and-more"))
    await asyncio.sleep(0.5)

    killed = await asyncio.to_thread(kill_marked, "unit-one")

    assert len(killed) == 1
    assert (await running).code == -signal.SIGKILL
    assert not other.done()
    other.cancel()
    await asyncio.wait({other})


_PARENT = """
import asyncio
from appliance.infra.process import run
asyncio.run(run(["sh", "-c", "echo $$; exec sleep 300"], on_line=lambda line: print(line, flush=True)))
"""


async def test_a_program_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed like any process
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    assert alive(pid)

    parent.kill()
    await asyncio.to_thread(parent.wait)
    parent.stdout.close()

    await ended(pid)


@given(st.binary(), st.lists(st.integers(0, 40)))
def test_lines_do_not_depend_on_where_the_stream_is_cut(
    data: bytes, cuts: list[int]
) -> None:
    data = data.replace(b"\r", b"")
    whole: list[str] = []
    pieces: list[str] = []

    for told, chunks in ((whole, [data]), (pieces, cut(data, cuts))):
        splitter = LineSplitter(told.append, limit=16)
        for chunk in chunks:
            splitter.feed(chunk)
        splitter.finish()

    assert pieces == whole
    assert all("\0" not in line for line in whole)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [*found, data]


def test_an_endless_line_is_cut() -> None:
    told: list[str] = []
    splitter = LineSplitter(told.append, limit=10)

    for _ in range(1000):
        splitter.feed(b"x" * 1000)
    splitter.feed(b"\nnext\n")

    assert told == ["xxxxxxxxxx … (line cut)", "next"]


def test_a_progress_bars_returns_end_lines() -> None:
    told: list[str] = []

    LineSplitter(told.append).feed(b"10%\r20%\r\ndone\n")

    assert told == ["10%", "20%", "done"]


def test_what_a_process_hides_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "17").mkdir()
    (tmp_path / "self").mkdir()

    with contextlib.suppress(ProcessLookupError):
        assert kill_marked("x", proc=tmp_path) == []


async def test_what_is_captured_is_standard_output_alone_byte_for_byte() -> None:
    done = await capture(
        ["sh", "-c", "echo warning >&2; printf 'a\\r\\n\\0b'; exit 3"], limit_bytes=99
    )

    assert (done.code, done.output, done.is_cut) == (3, b"a\r\n\0b", False)
    assert "a" not in repr(done).partition("(")[2].replace("False", "")


async def test_what_is_captured_has_an_end() -> None:
    done = await capture(["sh", "-c", "printf 0123456789"], limit_bytes=4)

    assert (done.output, done.is_cut) == (b"0123", True)


async def test_a_captured_program_that_takes_too_long_is_gone(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; exec sleep 60"

    with pytest.raises(ProgramTimeoutError):
        await capture(["sh", "-c", script], limit_bytes=9, timeout_s=0.5)

    await ended(int((tmp_path / "pid").read_text()))
