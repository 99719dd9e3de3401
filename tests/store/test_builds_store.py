"""Builds and their logs in Postgres."""

import asyncio
from datetime import UTC, datetime

import pytest

from appliance.builds import store
from appliance.builds.board import Board
from appliance.builds.log import BuildLog
from appliance.builds.log_bounds import HEAD_LINES
from appliance.builds.model import BuildLine, BuildRequest, BuildState, BuiltImage
from appliance.builds.progress import PlainProgress
from appliance.infra.database import Database
from tests.functional.builds.conftest import add_deployment


@pytest.fixture
async def request_(database: Database) -> BuildRequest:
    return await database.run(add_deployment, database, "one")


async def events(database: Database, kind: str) -> list[dict[str, object]]:
    """Return what was announced under ``kind``."""
    rows = await database.run(
        lambda: database.peewee.execute_sql(
            "SELECT data FROM events WHERE kind = %s ORDER BY id", (kind,)
        ).fetchall()
    )
    return [data for (data,) in rows]


async def test_a_build_begins_once_and_goes_on_after_that(
    database: Database, request_: BuildRequest
) -> None:
    first = await database.run(store.begin, request_)
    again = await database.run(store.begin, request_)

    assert (first.view.state, first.view.attempt, first.last_line) == (
        BuildState.RUNNING,
        1,
        0,
    )
    assert (again.view.id, again.view.attempt) == (first.view.id, 2)
    assert again.view.started_at == first.view.started_at


async def test_a_build_that_succeeded_is_returned_as_it_is(
    database: Database, request_: BuildRequest
) -> None:
    begun = await database.run(store.begin, request_)
    built = BuiltImage("sha256:1", {"version": "1.0"})
    await database.run(
        store.succeed, begun.view, tag="mcp-host/one:x-1", built=built, platforms=[]
    )

    again = await database.run(store.begin, request_)

    assert (again.view.state, again.view.attempt) == (BuildState.SUCCEEDED, 1)
    assert store.built_image(again.view) == built
    assert again.view.image == "mcp-host/one:x-1"
    assert again.view.finished_at is not None
    assert await events(database, "build.state") == [
        {"build_id": begun.view.id, "state": "succeeded"}
    ]


async def test_success_is_not_taken_back(
    database: Database, request_: BuildRequest
) -> None:
    begun = await database.run(store.begin, request_)
    await database.run(
        store.succeed, begun.view, tag=None, built=BuiltImage(""), platforms=[]
    )

    assert not await database.run(store.end, begun.view, BuildState.CANCELLED)

    assert (
        await database.run(store.begin, request_)
    ).view.state is BuildState.SUCCEEDED


async def test_a_failure_keeps_its_reason_until_the_next_attempt(
    database: Database, request_: BuildRequest
) -> None:
    begun = await database.run(store.begin, request_)
    await database.run(store.end, begun.view, BuildState.FAILED, "No.")
    failed = await database.run(store.of_deployment, request_.deployment_id)

    again = await database.run(store.begin, request_)

    assert failed is not None
    assert (failed.state, failed.error) == (BuildState.FAILED, "No.")
    assert (again.view.state, again.view.error, again.view.finished_at) == (
        BuildState.RUNNING,
        "",
        None,
    )


async def test_the_newest_build_of_a_server_is_found(
    database: Database, request_: BuildRequest
) -> None:
    assert await database.run(store.latest, request_.server_id) is None

    begun = await database.run(store.begin, request_)

    assert await database.run(store.latest, request_.server_id) == begun.view


async def test_lines_are_stored_in_order_and_announced(
    database: Database, request_: BuildRequest
) -> None:
    build_id = (await database.run(store.begin, request_)).view.id

    async with BuildLog(
        database,
        Board(()),
        build_id=build_id,
        server_id=request_.server_id,
        last_line=0,
    ) as log:
        for number in range(2500):
            log.line(f"line {number}")

    found = await database.run(store.lines, build_id, after=2498, limit=10)
    assert found == [BuildLine(2499, "line 2498"), BuildLine(2500, "line 2499")]
    told = await events(database, "build.log")
    assert [(item["from"], item["to"]) for item in told] == [
        (1, 1000),
        (1001, 2000),
        (2001, 2500),
    ]


async def test_an_attempt_that_was_overtaken_writes_no_result(
    database: Database, request_: BuildRequest
) -> None:
    first = await database.run(store.begin, request_)
    await database.run(store.begin, request_)

    written = await database.run(
        store.succeed, first.view, tag=None, built=BuiltImage("x"), platforms=[]
    )

    assert not written
    assert (await database.run(store.begin, request_)).view.state is BuildState.RUNNING


async def test_progress_of_platforms_is_stored_with_the_lines_or_without(
    database: Database, request_: BuildRequest
) -> None:
    build_id = (await database.run(store.begin, request_)).view.id
    board, progress = Board(("linux/amd64", "linux/arm64")), PlainProgress()

    async with BuildLog(
        database, board, build_id=build_id, server_id=request_.server_id, last_line=0
    ) as log:
        board.building("linux/amd64")
        progress.feed("#5 [1/3] FROM base")
        progress.feed("#5 CACHED")
        progress.feed("#6 [2/3] RUN make")
        board.progressed("linux/amd64", progress)
        log.line("made")
        await asyncio.sleep(0.5)
        board.built("linux/amd64", "sha256:1")

    view = await database.run(store.of_deployment, request_.deployment_id)
    assert view is not None
    own, other = view.platforms
    assert (own.state, own.step, own.steps, own.image_id) == ("built", 3, 3, "sha256:1")
    assert [(step.name, step.state) for step in own.log] == [
        ("[1/3] FROM base", "cached"),
        ("[2/3] RUN make", "running"),
    ]
    assert own.started_at is not None
    assert (other.state, other.started_at) == ("waiting", None)
    assert len(await events(database, "build.log")) == 1
    assert len(await events(database, "build.progress")) == 1


async def test_a_second_attempt_goes_on_numbering(
    database: Database, request_: BuildRequest
) -> None:
    build_id = (await database.run(store.begin, request_)).view.id
    async with BuildLog(
        database,
        Board(()),
        build_id=build_id,
        server_id=request_.server_id,
        last_line=0,
    ) as log:
        log.line("first")

    begun = await database.run(store.begin, request_)
    async with BuildLog(
        database,
        Board(()),
        build_id=build_id,
        server_id=request_.server_id,
        last_line=begun.last_line,
    ) as log:
        log.line("second")

    assert await database.run(store.lines, build_id, after=0, limit=10) == [
        BuildLine(1, "first"),
        BuildLine(2, "second"),
    ]


async def test_endless_output_is_cut(
    database: Database, request_: BuildRequest
) -> None:
    build_id = (await database.run(store.begin, request_)).view.id

    async with BuildLog(
        database,
        Board(()),
        build_id=build_id,
        server_id=request_.server_id,
        last_line=0,
    ) as log:
        for number in range(HEAD_LINES + 700):
            log.line(f"line {number}")

    said, *tail = await database.run(
        store.lines, build_id, after=HEAD_LINES, limit=1000
    )
    assert "only its last lines are kept" in said.text
    assert tail[0].text == "… 200 lines are left out here."
    assert tail[-1].text == f"line {HEAD_LINES + 699}"


async def test_lines_of_a_build_whose_server_is_gone_are_dropped(
    database: Database, request_: BuildRequest
) -> None:
    build_id = (await database.run(store.begin, request_)).view.id
    await database.run(database.peewee.execute_sql, "DELETE FROM servers")

    async with BuildLog(
        database,
        Board(()),
        build_id=build_id,
        server_id=request_.server_id,
        last_line=0,
    ) as log:
        log.line("nobody reads this")

    assert await database.run(store.lines, build_id, after=0, limit=10) == []
    assert await events(database, "build.log") == []


async def test_moments_are_aware_and_in_utc(
    database: Database, request_: BuildRequest
) -> None:
    begun = await database.run(store.begin, request_)

    assert begun.view.started_at.tzinfo is not None
    assert abs((datetime.now(UTC) - begun.view.started_at).total_seconds()) < 60
