"""/api/governance and /api/promotions over real HTTP: what is promised of them beyond what the stores hold."""

import json
from typing import Any

from aiohttp.test_utils import TestClient

from tests.harness.governing import TIER, digest

Client = TestClient[Any, Any]
REVIEW = {"name": "review", "kind": "approval", "config": {"allow_self": True}}


async def made(client: Client, path: str, **body: Any) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status == 201, await response.text()
    return dict(await response.json())


async def workflow(client: Client, *steps: dict[str, Any], name: str = "release") -> dict[str, Any]:  # fmt: skip
    return await made(client, "/api/governance/workflows", name=name, steps=list(steps))


async def test_a_release_goes_its_way_over_http(
    maintainer: Client, reader: Client
) -> None:
    created = await workflow(maintainer, REVIEW)
    stages = ["canary", {"name": "wide", "workflow": "release"}]
    track = await made(
        maintainer,
        "/api/promotions/tracks",
        name="main",
        stages=stages,
        workflow="release",
    )
    wanted = {"track": "main", "manifest_digest": digest(1), "tier": TIER}

    early = await maintainer.post("/api/promotions/schedule", json=wanted | {"stage": "wide"})  # fmt: skip
    sent = await made(maintainer, "/api/promotions/schedule", **wanted, stage="canary")
    inbox = await (await maintainer.get("/api/governance/inbox")).json()
    shut = await reader.post(f"/api/promotions/{sent['id']}/approve", json={})
    approved = await (
        await maintainer.post(f"/api/promotions/{sent['id']}/approve", json={})
    ).json()
    twice = await maintainer.post(f"/api/promotions/{sent['id']}/approve", json={})
    run = await (
        await maintainer.get(f"/api/governance/runs/{sent['governance_run_id']}")
    ).json()
    history = await (
        await maintainer.get(f"/api/promotions/history?track=main&digest={digest(1)}")
    ).json()
    board = await (await reader.get("/api/promotions/tracks/main/board")).json()

    assert created["webhook_secret"].startswith("mcpg_")
    assert [item["workflow"] for item in track["stages"]] == ["release", "release"]
    assert (early.status, (await early.json())["code"]) == (409, "promotion_stage_order")  # fmt: skip
    assert sent["status"] == "in_progress"
    assert [item["id"] for item in inbox["items"]] == [run["id"]]
    assert shut.status == 403
    assert approved["status"] == "active"
    assert (twice.status, (await twice.json())["code"]) == (409, "promotion_state")
    assert run["status"] == "completed"
    assert run["steps"][0]["approvals"][0]["person"] == "maintainer@example.org"
    assert [line["kind"] for line in run["log"]][:2] == ["started", "step_started"]
    assert [item["id"] for item in history["items"]] == [sent["id"]]
    assert board["stages"][0]["promotions"][0]["status"] == "active"


async def test_no_step_is_skipped_by_setting_the_status(maintainer: Client) -> None:
    await workflow(maintainer, REVIEW)
    run = await made(
        maintainer,
        "/api/governance/workflows/release/runs",
        manifest_digest=digest(1),
        tier=TIER,
    )
    path = f"/api/governance/runs/{run['id']}"

    skipped = await maintainer.post(f"{path}/status", json={"status": "completed"})
    stale = await maintainer.post(f"{path}/status", json={"status": "failed", "version": 1})  # fmt: skip
    failed = await maintainer.post(f"{path}/status", json={"status": "failed", "note": "No."})  # fmt: skip
    late = await maintainer.post(f"{path}/steps/1/approve", json={})

    assert (await skipped.json())["code"] == "governance_steps_open"
    assert (await stale.json())["code"] == "stale_version"
    assert (await failed.json())["reason"] == "No."
    assert (await late.json())["code"] == "governance_run_ended"


async def test_the_stream_tells_a_run_as_it_is_and_after_each_change_until_its_end(
    maintainer: Client,
) -> None:
    await workflow(maintainer, REVIEW)
    run = await made(
        maintainer,
        "/api/governance/workflows/release/runs",
        manifest_digest=digest(1),
        tier=TIER,
    )
    path = f"/api/governance/runs/{run['id']}"

    async with maintainer.get(f"{path}/stream") as stream:
        first = await _event(stream.content)
        await maintainer.post(f"{path}/steps/1/approve", json={})
        second = await _event(stream.content)
        rest = await stream.content.read()
    async with maintainer.get(f"{path}/stream", headers={"Last-Event-ID": first["id"]}) as again:  # fmt: skip
        replayed = await _event(again.content)

    assert first["data"]["status"] == "in_progress"
    assert second["data"]["status"] == "completed"
    assert b"data:" not in rest
    assert replayed["id"] == second["id"]


async def _event(content: Any) -> dict[str, Any]:
    """Return the next event named ``run``."""
    found: dict[str, Any] = {}
    while True:
        line = (await content.readline()).decode().rstrip("\n")
        name, _, value = line.partition(": ")
        if name in {"id", "event", "data"}:
            found[name] = value
        if not line and found.get("event") == "run":
            return found | {"data": json.loads(found["data"])}


async def test_bad_input_names_its_field(maintainer: Client) -> None:
    bad = {"name": "x", "steps": [{"name": "wait", "kind": "soak"}]}
    kind = {"name": "x", "steps": [{"name": "wait", "kind": "prayer"}]}
    track = {"name": "x", "stages": ["a", "a"], "workflow": "nobodys"}

    found = []
    for path, body in (
        ("/api/governance/workflows", bad),
        ("/api/governance/workflows", kind),
        ("/api/promotions/tracks", track),
        ("/api/promotions/tracks", track | {"stages": ["a"]}),
    ):
        response = await maintainer.post(path, json=body)
        assert response.status == 422
        found += [item["field"] for item in (await response.json())["errors"]]

    assert found == ["steps.0.config.seconds", "steps.0.kind", "stages.1.name", "workflow"]  # fmt: skip


async def test_a_callback_without_its_token_opens_nothing(stranger: Client) -> None:
    body = {"outcome": "passed"}
    for headers in ({}, {"X-Webhook-Secret": "guess"}):
        response = await stranger.post("/api/governance/callbacks/1", json=body, headers=headers)  # fmt: skip
        assert (response.status, (await response.json())["code"]) == (401, "governance_callback_unknown")  # fmt: skip
