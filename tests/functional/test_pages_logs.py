"""The pages of logs and metrics: what they show and offer, and how the log follows."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.output.model import Printed, Stream, nanoseconds
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub that keeps what is printed, and somebody who has a server."""
    async with hub(database, data_dir=tmp_path) as running:
        principal = await running.sign_in()
        await running.host(principal, "time")
        recorder = running.services.output._recorder
        writing = asyncio.create_task(recorder.run())
        yield running
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await recorder.close()


async def _say(site: Hub, *texts: str, session: str = "") -> None:
    principal = await site.services.accounts.sessions.whose(
        next(iter(site.client.session.cookie_jar)).value
    )
    assert principal
    server_id = await site.services.output.find(principal, "time")
    start = nanoseconds(now())
    lines = [
        Printed(start + n, Stream.STDERR, text, 1, "c0ffeec0ffee", session)
        for n, text in enumerate(texts)
    ]
    await site.services.output._recorder.add(server_id, lines)
    async with asyncio.timeout(5):
        while texts and texts[-1] not in await site.page("/servers/time/logs.txt"):
            await asyncio.sleep(0.01)


async def test_an_empty_history_says_what_will_be_there(site: Hub) -> None:
    text = await site.page("/servers/time/logs/history")

    assert "Nothing printed yet" in text
    assert "14 days" in text


async def test_the_history_shows_what_matches_escaped_and_turns_pages(
    site: Hub,
) -> None:
    await _say(site, *(f"<b>line {n}</b>" for n in range(450)), session="5e55105e")

    newest = await site.page("/servers/time/logs/history?q=LINE")
    none = await site.page("/servers/time/logs/history?q=nothing&since=rubbish")
    older = newest.partition('class="button quiet small next" href="')[2]
    second = await site.page(older.partition('"')[0].replace("&amp;", "&"))

    assert "[5e55105e] &lt;b&gt;line 449&lt;/b&gt;" in newest
    assert "line 249<" not in newest.replace("&lt;", "<")
    assert "line 249" in second
    assert "Newer" in second
    assert "No line matches" in none


async def test_the_file_holds_what_matches(site: Hub) -> None:
    await _say(site, "one", "two")

    text = await site.page("/servers/time/logs.txt?q=tw")

    assert text.endswith(" stderr two\n")
    assert "one" not in text


async def test_the_page_follows_and_goes_on_where_it_stopped(site: Hub) -> None:
    await _say(site, "one", "two")

    async def lines(last: str = "") -> tuple[list[str], str]:
        headers = {"Last-Event-ID": last} if last else {}
        response = await site.get("/live/servers/time/logs", **headers)
        found: list[str] = []
        newest = ""
        async with asyncio.timeout(5):
            while not found:
                name, _, value = (
                    (await response.content.readline()).decode().partition(": ")
                )
                if name == "id":
                    newest = value.strip()
                if name == "data" and value.startswith('{"reset"'):
                    found += [item["text"] for item in json.loads(value)["lines"]]
        response.close()
        return found, newest

    first, newest = await lines()
    await _say(site, "three")
    second, _ = await lines(newest)

    assert (first, second) == (["one", "two"], ["three"])


async def test_metrics_are_figures_without_any_script(site: Hub) -> None:
    text = await site.page("/servers/time/metrics?range=7d")
    other = await site.page("/servers/time/metrics?range=nonsense")

    assert '<option value="7d" selected' in " ".join(text.split())
    assert "Deployment 1, asked for by ada@example.org: pending" in text
    assert 'data-range="604800"' in text
    assert 'data-range="3600"' in other
