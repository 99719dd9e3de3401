"""Governance on the pages: a workflow made in its form, a version sent along a track, approved, and rolled back."""

from collections.abc import AsyncIterator

import pytest

from appliance.infra.database import Database
from tests.fakes.runs import finished
from tests.harness.governing import digest
from tests.harness.pages import Hub, hub

WORKFLOW = {
    "name": "release",
    "tier": "*",
    "steps.0.kind": "approval",
    "steps.0.name": "Review",
    "steps.0.config.quorum": "1",
    "steps.0.config.groups": "",
    "steps.0.config.allow_self": "on",
}
TRACK = {"name": "main", "stages": "canary\nwide", "workflow": "release"}
WANTED = {"stage": "canary", "manifest_digest": digest(1), "tier": "gold:npm"}


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


async def test_a_version_goes_its_way_on_the_pages(site: Hub) -> None:
    await site.sign_in()
    empty = [
        await site.page(f"/governance{tail}")
        for tail in ("", "/runs", "/workflows", "/tracks", "/history")
    ]
    made = await (await site.post("/governance/workflows/new", **WORKFLOW)).text()
    await site.post("/governance/tracks/new", **TRACK)
    await site.post("/governance/tracks/main/schedule", **WANTED)

    count = await site.page("/governance/count")
    inbox = await site.page("/governance")
    run = await site.page("/governance/runs/1")
    await site.post("/governance/runs/1/decide", position="1", verdict="approve", comment="Go.")  # fmt: skip
    await site.services.promotions.sweep()
    board = await site.page("/governance/tracks/main")
    decided = await site.page("/governance/runs/1")
    await site.post("/governance/promotions/1/rollback", reason="It leaks.")
    history = await site.page("/governance/history?track=main")

    assert all("empty" in text for text in empty)
    assert "mcpg_" in made
    assert "1 waiting for you" in count
    assert "to canary of main" in inbox
    assert 'value="approve"' in run
    assert 'value="approve"' not in decided
    assert "Go." in decided
    assert "To wide" in board
    assert "Roll back" in board
    assert "rolled back" in history.lower()
    assert "It leaks." in history


async def test_steps_are_added_moved_and_removed_and_nothing_typed_is_lost(
    site: Hub,
) -> None:
    await site.sign_in()
    path = "/governance/workflows/new"

    added = await (await site.post(path, **WORKFLOW, add="soak")).text()
    two = WORKFLOW | {"steps.1.kind": "soak", "steps.1.name": "Wait", "steps.1.config.seconds": "60"}  # fmt: skip
    moved = await (await site.post(path, **two, up="1")).text()
    removed = await (await site.post(path, **two, remove="0")).text()
    wrong = await site.post(path, **(two | {"steps.1.config.seconds": "soon"}))
    refused = await wrong.text()

    assert 'name="steps.1.config.seconds"' in added
    assert 'value="release"' in added
    assert moved.index('value="Wait"') < moved.index('value="Review"')
    assert 'value="Review"' not in removed
    assert wrong.status == 422
    assert "whole number" in refused
    assert 'value="soon"' in refused


async def test_what_cannot_be_done_says_why_beside_what_there_is(site: Hub) -> None:
    await site.sign_in()
    strict = WORKFLOW | {"steps.0.config.allow_self": ""}
    await site.post("/governance/workflows/new", **strict)
    await site.post("/governance/tracks/new", **TRACK)
    await site.post("/governance/tracks/main/schedule", **WANTED)

    early = await site.post("/governance/tracks/main/schedule", **(WANTED | {"stage": "wide"}))  # fmt: skip
    own = await site.post("/governance/promotions/1/approve")
    bad = await site.post("/governance/tracks/new", **(TRACK | {"name": "b", "stages": "A B"}))  # fmt: skip

    assert early.status == 409
    assert "stage before wide" in await early.text()
    assert own.status == 403
    assert "somebody else has to approve" in await own.text()
    assert bad.status == 422
    assert "Stage 1" in await bad.text()


async def test_an_artifact_tells_how_far_it_came(site: Hub) -> None:
    principal = await site.sign_in()
    server = (await site.host(principal, "time")).server
    run = finished(1, server_id=server.id)
    number = await site.database.run(site.services.ledger.record, run)
    await site.post("/governance/tracks/new", **(TRACK | {"workflow": "", "allow_self": "on"}))  # fmt: skip

    before = await site.page(f"/marketplace/{number}")
    await site.post("/governance/tracks/main/schedule", stage="canary", artifact_run_id=str(number))  # fmt: skip
    await site.post("/governance/promotions/1/approve")
    after = await site.page(f"/marketplace/{number}")
    (entry,) = (await (await site.get("/api/marketplace")).json())["items"]

    assert 'id="lineage"' not in before
    assert "Active in canary" in after
    assert entry["lineage"]["active"]["stage"] == "canary"
    assert [item["status"] for item in entry["lineage"]["stages"]] == ["active"]
    assert entry["lineage"]["active"]["server_id"] == server.id


OWN_TRACK = TRACK | {"workflow": "", "allow_self": "on"}


async def built(site: Hub) -> int:
    """Return the number of an artifact of a new server on a new track."""
    server = (await site.host(await site.sign_in(), "time")).server
    run = finished(1, server_id=server.id)
    number = await site.database.run(site.services.ledger.record, run)
    await site.post("/governance/tracks/new", **OWN_TRACK)
    return number


async def test_a_train_goes_its_way_on_its_page(site: Hub) -> None:
    number = await built(site)
    both = {f"pick:{number}": "on", "more": f"{digest(7)} gold:npm"}
    train = "/governance/trains/1"

    form = await site.page("/governance/tracks/main/trains/new")
    made = await site.post("/governance/tracks/main/trains", stage="canary", name="November", **both)  # fmt: skip
    page, board = await site.page(train), await site.page("/governance/tracks/main")
    await site.post("/governance/promotions/1/hold", **{"from": "train"})
    early, held = await site.post(f"{train}/approve"), await site.page(train)
    freed = await site.post("/governance/promotions/1/release", **{"from": "train"})
    await site.post(f"{train}/approve")
    active = await site.page(train)
    await site.post(f"{train}/rollback")
    gone = await site.page(train)

    assert f'name="pick:{number}"' in form
    assert made.headers["Location"] == freed.headers["Location"] == train
    assert "2 scheduled." in page
    assert f'href="{train}"' in board
    assert "is released." in held
    assert (early.status, "is held" in await early.text()) == (409, True)
    assert "2 active." in active
    assert "2 rolled back." in gone
    assert "Roll back all" not in gone


async def test_a_train_that_cannot_be_made_keeps_what_was_chosen(site: Hub) -> None:
    path, number = "/governance/tracks/main/trains", await built(site)
    wrong = {f"pick:{number}": "on", "more": "nonsense"}

    empty = await site.post(path, stage="canary")
    refused = await site.post(path, stage="canary", **wrong)
    said = await refused.text()

    assert (empty.status, refused.status) == (422, 422)
    assert "choose those" in await empty.text()
    assert "artifacts.1.manifest_digest" in said
    assert " checked" in said
    assert "nonsense" in said
