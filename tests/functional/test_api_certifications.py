"""Certifications over REST: who may, what is kept, and what others hear of it."""

from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from tests.fakes.runs import digest, finished
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
SMOKE = {"policy_requirement": "smoke", "status": "pass", "tier": "gold:npm"}


@pytest.fixture
async def run_id(hub: Hub) -> int:
    return await hub.database.run(hub.services.ledger.record, finished())


async def test_a_run_is_certified_read_and_asked_for_again(
    hub: Hub, admin: Client, reader: Client, run_id: int
) -> None:
    path = f"/api/artifacts/{run_id}/evaluations"

    made = await (
        await admin.post(path, json=SMOKE | {"evidence": {"cases": 3}})
    ).json()
    stale = await admin.post(path, json=SMOKE | {"status": "fail", "version": 0})
    listed = await (await reader.get(path)).json()
    retry = f"/api/evaluations/{made['id']}/retry"
    refused = [(await reader.post(retry)).status]
    again = await (await admin.post(retry)).json()

    assert (made["standing"], made["version"], made["origin"]) == (
        "active",
        1,
        "person",
    )
    assert made["manifest_digest"] == digest(100)
    assert made["evidence"] == {"cases": 3}
    assert (stale.status, (await stale.json())["code"]) == (
        409,
        "certification_changed",
    )
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    assert refused == [403]
    assert (again["standing"], again["valid_from"], again["version"]) == (
        "pending",
        None,
        2,
    )
    assert again["evidence"] == {"cases": 3}
    lines = await hub.services.audit.list(action="certification.retry")
    assert lines[0].before is not None
    assert lines[0].before["status"] == "pass"
    (job,) = await hub.services.jobs.list(kind="policy.review")
    assert job.payload == {"digest": digest(100)}


async def test_what_makes_no_sense_is_named(admin: Client, run_id: int) -> None:
    for change, field in (
        ({"manifest_digest": digest(5)}, "manifest_digest"),
        ({"tier": "gold:*"}, "tier"),
        ({"policy_requirement": "Smoke"}, "policy_requirement"),
        ({"valid_until": "2001-01-01T00:00:00Z"}, "valid_until"),
        ({"valid_until": "2031-01-01T00:00:00"}, "valid_until"),
        ({"evidence": {"x": "y" * 300_000}}, "evidence"),
    ):
        body = SMOKE | change
        answer = await admin.post(f"/api/artifacts/{run_id}/evaluations", json=body)

        assert answer.status == 422
        assert [item["field"] for item in (await answer.json())["errors"]] == [field]


async def test_files_lie_beside_it_and_are_only_ever_saved(
    admin: Client, maintainer: Client, run_id: int
) -> None:
    made = await (
        await admin.post(f"/api/artifacts/{run_id}/evaluations", json=SMOKE)
    ).json()
    form = FormData()
    form.add_field("file", b"<script>alert(1)</script>", filename="report.html")

    added = await admin.post(f"/api/evaluations/{made['id']}/files", data=form)
    file = await added.json()
    fetched = await admin.get(file["path"])
    hidden = await maintainer.get(file["path"])

    assert (added.status, file["name"], file["size_bytes"]) == (201, "report.html", 25)
    assert await fetched.read() == b"<script>alert(1)</script>"
    assert fetched.headers["Content-Type"] == "application/octet-stream"
    assert fetched.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in fetched.headers["Content-Security-Policy"]
    assert hidden.status == 404


async def test_a_server_elsewhere_is_certified_by_its_address(admin: Client) -> None:
    body = {"name": "far", "remote_url": "https://mcp.example.org/mcp"}
    assert (await admin.post("/api/servers", json=body)).status == 201

    made = await admin.post(
        "/api/servers/far/certifications",
        json={"policy_requirement": "smoke", "status": "pass"},
    )
    found = await made.json()

    assert (made.status, found["tier"]) == (200, "unrated:remote")
    assert found["artifact_run_id"] is None
    listed = await (await admin.get("/api/servers/far/certifications")).json()
    assert listed["items"][0]["id"] == found["id"]
