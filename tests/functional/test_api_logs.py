"""What servers print, over HTTP: kept, searched, followed without gap or double, and nobody else's to read."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientResponse

from appliance.infra.database import Database
from appliance.output.model import moment
from appliance.servers import store
from tests.fakes.printers import START_NS, container
from tests.functional.hub import settings_for
from tests.functional.printing import LIMIT, PATIENCE_S, Box, box, running

__all__ = ["box"]


async def _follow(box: Box, last: str = "", query: str = "") -> ClientResponse:
    headers = {"Last-Event-ID": last} if last else {}
    response = await box.client.get(
        f"/api/servers/clock/logs/stream{query}", headers=headers
    )
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    return response


async def _events(response: ClientResponse, count: int) -> list[dict[str, Any]]:
    """Return the next so many events."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            fields: dict[str, Any] = {}
            while line := (await response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            if "data" in fields:
                found.append({**fields, "data": json.loads(fields["data"])})
            elif response.content.at_eof():
                raise EOFError
    return found


async def test_lines_outlive_their_container_and_a_hub_that_starts_again_reads_on(
    box: Box, database: Database, tmp_path: Path
) -> None:
    await box.printers.start(box.own)
    await box.printers.say(box.own, "one", "two")
    await box.until(2)
    await box.printers.end(box.own)
    later = await asyncio.to_thread(settings_for, data_dir=tmp_path)

    async with aiohttp.ClientSession() as session:
        # The same engine, another hub on the same directory.
        await box.printers.say(box.own, "three while nobody looked")
        async with running(database, session, later, box.printers) as (_, output):
            async with asyncio.timeout(PATIENCE_S):
                while box.printers.reads < 2:
                    await asyncio.sleep(0.01)
            while output.collector.printers():
                await asyncio.sleep(0.01)
            await output.recorder.end(box.server_id)

    assert await box.until(3) == ["one", "two", "three while nobody looked"]


async def test_a_reader_that_comes_back_gets_every_line_once(box: Box) -> None:
    await box.printers.start(box.own)
    await box.printers.say(box.own, *(f"line {n}" for n in range(30)))
    await box.until(30)
    first = await _follow(box, query="?lines=10")
    seen = await _events(first, 5)
    first.close()
    await box.printers.say(box.own, "while away")

    again = await _follow(box, seen[-1]["id"])
    rest = await _events(again, 6)
    await box.printers.say(box.own, "live")
    live = await _events(again, 1)

    texts = [item["data"]["text"] for item in [*seen, *rest, *live]]
    assert texts == [*(f"line {n}" for n in range(20, 30)), "while away", "live"]


async def test_many_who_follow_cost_one_reader_and_get_the_same(box: Box) -> None:
    await box.printers.start(box.own)
    streams = [await _follow(box) for _ in range(10)]

    await box.printers.say(box.own, "hello", "again")
    found = [await _events(stream, 2) for stream in streams]

    assert box.printers.reads == 1
    assert all(item == found[0] for item in found)
    assert [item["data"]["text"] for item in found[0]] == ["hello", "again"]


async def test_a_flood_is_bounded_and_marked(box: Box) -> None:
    await box.printers.start(box.own)
    await box.printers.say(box.own, *("x" for _ in range(LIMIT * 5)), step_ns=1)
    await box.printers.say(box.own, "calm again", step_ns=2 * 10**9)

    found = await box.until(LIMIT + 2)

    assert len(found) == LIMIT + 2
    assert found[-2:] == [
        "200 lines dropped: more than 50 lines or 1,024 KiB a second.",
        "calm again",
    ]


async def test_what_a_stdio_server_says_to_its_clients_is_not_kept(box: Box) -> None:
    stdio = container(box.server_id, speaks_on_stdout=True)
    await box.printers.start(stdio)
    await box.printers.say(stdio, '{"jsonrpc":"2.0"}', is_stderr=False)
    await box.printers.say(stdio, "a line")

    assert await box.until(1) == ["a line"]


async def test_secrets_are_hidden_before_anything_is_kept(
    box: Box, tmp_path: Path
) -> None:
    await box.printers.start(box.own)
    await box.printers.say(box.own, "Authorization: Bearer abcdefgh12345678")

    found = await box.until(1)

    assert found == ["Authorization: Bearer [redacted]"]
    kept = [path.read_bytes() for path in (tmp_path / "output").rglob("*.log")]
    assert not any(b"abcdefgh12345678" in text for text in kept)


async def test_the_history_is_searched_and_paged(box: Box) -> None:
    session = container(box.server_id, "b", deployment_id=2, session="5e55")
    await box.printers.start(box.own)
    await box.printers.start(session)
    await box.printers.say(box.own, *(f"line {n}" for n in range(20)))
    await box.printers.say(session, "From a Session", is_stderr=False)
    await box.until(21)

    page = await (
        await box.client.get("/api/servers/clock/logs/history?limit=5&q=line")
    ).json()
    older = await (
        await box.client.get(
            f"/api/servers/clock/logs/history?limit=5&q=line&cursor={page['next_cursor']}"
        )
    ).json()

    assert [item["text"] for item in page["items"]] == [
        f"line {n}" for n in range(15, 20)
    ]
    assert [item["text"] for item in older["items"]] == [
        f"line {n}" for n in range(10, 15)
    ]
    assert await box.text(q="a session") == ["From a Session"]
    assert await box.text(stream="stdout") == ["From a Session"]
    assert await box.text(deployment_id="2") == ["From a Session"]
    assert await box.text(session="5e55") == ["From a Session"]
    assert await box.text(since=page["items"][-1]["at"], stream="stderr") == ["line 19"]
    assert await box.text(direction="newer", limit="2") == ["line 0", "line 1"]
    newer = await box.text(direction="newer", cursor=page["items"][-2]["id"])
    assert newer == ["line 19", "From a Session"]


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=1.2.3",
        "stream=x",
        "limit=0",
        "since=yesterday",
        "session=..",
    ],
)
async def test_a_wrong_question_is_refused_by_its_field(box: Box, query: str) -> None:
    response = await box.client.get(f"/api/servers/clock/logs/history?{query}")

    assert response.status in {400, 422}
    wrong = [item["field"] for item in (await response.json())["errors"]]
    assert wrong == [query.partition("=")[0]]


async def test_all_of_it_can_be_downloaded(box: Box) -> None:
    await box.printers.start(box.own)
    await box.printers.say(box.own, "one", "two")
    await box.until(2)

    response = await box.client.get("/api/servers/clock/logs/download?q=tw")

    assert "attachment" in response.headers["Content-Disposition"]
    at = moment(START_NS + 2 * 10**6).isoformat()
    assert await response.text() == f"{at} stderr two\n"


async def test_nobody_elses_output_is_there(box: Box) -> None:
    other = await box.hub.client(await box.hub.person("other@example.org"))

    for path in ("", "/history", "/stream", "/download"):
        assert (await other.get(f"/api/servers/clock/logs{path}")).status == 404


async def test_a_deleted_server_ends_its_streams_and_leaves_nothing(
    box: Box, tmp_path: Path
) -> None:
    await box.printers.start(box.own)
    stream = await _follow(box)
    await box.printers.say(box.own, "last words")
    await _events(stream, 1)

    await box.hub.database.run(store.destroy, box.server_id)

    assert (await _events(stream, 1))[0]["event"] == "end"
    assert list((tmp_path / "output").iterdir()) == []
