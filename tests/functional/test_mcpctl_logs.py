"""mcpctl logs and metrics, as people run them."""

import asyncio
from pathlib import Path

import pytest

from tests.functional.printing import Box, box
from tests.functional.test_mcpctl import Terminal

__all__ = ["box"]


@pytest.fixture
async def terminal(box: Box, tmp_path: Path) -> Terminal:
    """A terminal with the key of the server's owner."""
    found = Terminal(box.hub, tmp_path / "home")
    found.show_key(box.client.session.headers["Authorization"].split()[-1])
    return found


async def test_the_log_is_shown_searched_and_followed(
    box: Box,
    terminal: Terminal,
) -> None:
    await box.printers.start(box.own)
    await box.printers.say(box.own, "one", "two", "Twofold")
    await box.until(3)

    shown = await terminal.run("logs", "clock", "-n", "2")
    found = await terminal.run(
        "logs", "clock", "--search", "TWO", "--since", "1h", "--json"
    )
    none = await terminal.run("logs", "clock", "--stream", "stdout")
    following = asyncio.create_task(
        terminal.run("logs", "clock", "-f", "--search", "two")
    )
    await asyncio.sleep(1)
    await box.printers.say(box.own, "other", "two at last")
    await box.until(5)
    await asyncio.sleep(0.2)
    await box.output.recorder.remove(box.server_id)  # which ends the stream
    followed = await following

    assert shown.out.splitlines() == ["two", "Twofold"]
    assert [item["text"] for item in found.json()["items"]] == ["two", "Twofold"]
    assert (none.code, none.out) == (0, "")
    assert followed.out.splitlines() == ["two", "Twofold", "two at last"]


async def test_a_time_that_is_none_is_refused_with_an_example(
    terminal: Terminal,
) -> None:
    done = await terminal.run("logs", "clock", "--since", "lunch")

    assert done.code != 0
    assert "15m" in done.err


async def test_metrics_are_told_in_words_and_bars(terminal: Terminal) -> None:
    shown = await terminal.run("metrics", "clock")
    data = (await terminal.run("metrics", "clock", "--json", "--since", "2h")).json()

    assert "calls" in shown.out
    assert "deploy" in shown.out
    assert data["step"] == 60
