"""Webhooks: who starts a redeploy from outside, and who does not."""

import hashlib
import hmac
import io
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp.test_utils import TestClient

from appliance.core.clock import now
from appliance.jobs.model import Handler, JobContext
from appliance.jobs.worker import JobWorker
from appliance.servers import store
from appliance.servers.errors import WebhookRefusedError
from appliance.servers.model import DesiredState
from appliance.servers.service import RECONCILE, lane_of
from appliance.servers.tables import WebhookDeliveryRow
from appliance.servers.webhooks import (
    ACCEPTED_A_MINUTE,
    REDEPLOY,
    REFUSED_A_MINUTE,
    WebhookRedeploy,
    WebhookService,
)
from appliance.web.requests import Access
from appliance.web.routes import operations
from tests.functional.hub import Hub
from tests.harness.waiting import until
from tests.store.test_jobs_worker import QUICK

Client = TestClient[Any, Any]
REPOSITORY = {
    "name": "clock",
    "repo_url": "https://example.org/o/clock.git",
    "branch": "main",
}


async def _host(client: Client, **source: str) -> str:
    """Host a server and return its webhook's secret."""
    made = await client.post("/api/servers", json=source or REPOSITORY)
    assert made.status == 201, await made.text()
    response = await client.post("/api/servers/clock/webhook/secret")
    assert response.status == 201, await response.text()
    return str((await response.json())["secret"])


def _push(ref: str = "refs/heads/main", **fields: Any) -> bytes:
    repository = {
        "default_branch": "main",
        "pushed_at": int(now().timestamp()),
        **fields.pop("repository", {}),
    }
    # As every push of GitHub's differs from the others.
    after = secrets.token_hex(20)
    payload = {"ref": ref, "after": after, "repository": repository, **fields}
    return json.dumps(payload).encode()


def _headers(secret: str, body: bytes, **changed: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": secrets.token_hex(16),
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }


async def _github(
    client: Client, secret: str, body: bytes, **changed: str
) -> aiohttp.ClientResponse:
    headers = _headers(secret, body, **changed)
    return await client.post("/api/servers/clock/github", data=body, headers=headers)


async def _call(client: Client, secret: str | None) -> aiohttp.ClientResponse:
    headers = {} if secret is None else {"X-Webhook-Secret": secret}
    return await client.post("/api/servers/clock/webhook", headers=headers)


async def _waiting(hub: Hub) -> int:
    """Return how many redeploys wait."""
    jobs = await hub.services.jobs.list(kind=REDEPLOY)
    return sum(not job.state.is_finished for job in jobs)


async def _deliveries(client: Client) -> list[dict[str, Any]]:
    found = await (await client.get("/api/servers/clock/webhook")).json()
    return list(found["deliveries"])


async def _nothing(_context: JobContext, _payload: Mapping[str, Any]) -> None:
    """Be a job that does nothing."""


@asynccontextmanager
async def _working(hub: Hub) -> AsyncIterator[None]:
    # The reconciler's jobs come first in a server's lane; here they find nothing to do.
    handlers: dict[str, Handler] = {
        RECONCILE: _nothing,
        REDEPLOY: WebhookRedeploy(hub.database),
    }
    worker = JobWorker(hub.database, handlers, timing=QUICK)
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()


async def _all_done(hub: Hub) -> None:
    async def is_done() -> bool:
        return not await _waiting(hub)

    async with _working(hub):
        await until(is_done)


# -- doors that open


async def test_the_secret_alone_starts_a_redeploy(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin, name="clock", package="pypi:mcp-server-time")

    response = await _call(stranger, secret)
    await _all_done(hub)

    assert response.status == 202
    assert (await response.json())["outcome"] == "queued"
    server = await (await admin.get("/api/servers/clock")).json()
    assert server["deployment"]["number"] == 2
    assert server["deployment"]["requested_by"] == "webhook"
    assert [item["deployment"] for item in await _deliveries(admin)] == [2]


async def test_a_push_to_the_tracked_branch_starts_a_redeploy(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    response = await _github(stranger, secret, _push())

    assert response.status == 202
    assert (await response.json())["outcome"] == "queued"
    assert await _waiting(hub) == 1


async def test_a_push_may_come_as_a_form_as_github_offers(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    body = urlencode({"payload": _push().decode()}).encode()

    response = await _github(
        stranger, secret, body, Content_Type="application/x-www-form-urlencoded"
    )

    assert (await response.json())["outcome"] == "queued"
    assert await _waiting(hub) == 1


async def test_without_a_branch_the_repositorys_default_is_tracked(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    source = {"name": "clock", "repo_url": REPOSITORY["repo_url"]}
    secret = await _host(admin, **source)
    told = {"repository": {"default_branch": "trunk"}}

    other = await _github(stranger, secret, _push("refs/heads/main", **told))
    tracked = await _github(stranger, secret, _push("refs/heads/trunk", **told))

    assert (await other.json())["outcome"] == "ignored"
    assert (await tracked.json())["outcome"] == "queued"
    assert await _waiting(hub) == 1


async def test_calls_while_one_waits_come_to_one_redeploy(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    outcomes = [
        (await (await _github(stranger, secret, _push())).json())["outcome"]
        for _ in range(4)
    ]
    await _all_done(hub)

    assert outcomes == ["queued", "coalesced", "coalesced", "coalesced"]
    deployments = await (await admin.get("/api/servers/clock/deployments")).json()
    assert [item["number"] for item in deployments["items"]] == [2, 1]
    assert {item["deployment"] for item in await _deliveries(admin)} == {2}


async def test_a_push_waits_for_what_runs_in_the_servers_lane(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    await _github(stranger, secret, _push())

    (job,) = await hub.services.jobs.list(kind=REDEPLOY)
    server = await (await admin.get("/api/servers/clock")).json()
    assert job.lane == lane_of(server["id"])


async def test_a_ping_is_answered(hub: Hub, admin: Client, stranger: Client) -> None:
    secret = await _host(admin)

    response = await _github(
        stranger, secret, b'{"zen": "Design for failure."}', X_GitHub_Event="ping"
    )

    assert response.status == 202
    assert (await response.json())["outcome"] == "ping"
    assert await _waiting(hub) == 0


# -- doors that stay shut


async def test_nothing_opens_without_the_secret(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    await _host(admin)

    calls = [await _call(stranger, given) for given in (None, "", "mcpw_wrong", "ü")]

    assert {item.status for item in calls} == {401}
    assert await _waiting(hub) == 0


async def test_nothing_opens_without_the_signature(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    given = ("", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "ü")

    calls = [
        await _github(stranger, secret, _push(), X_Hub_Signature_256=signature)
        for signature in given
    ]

    assert {item.status for item in calls} == {401}
    assert await _waiting(hub) == 0


async def test_a_signature_of_another_body_opens_nothing(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    headers = _headers(secret, _push("refs/heads/other"))

    response = await stranger.post(
        "/api/servers/clock/github", data=_push(), headers=headers
    )

    assert response.status == 401
    assert await _waiting(hub) == 0


async def test_neither_key_nor_session_opens_these_doors(
    hub: Hub, admin: Client
) -> None:
    await _host(admin)

    calls = [await _call(admin, None), await _github(admin, "guess", _push())]

    assert [item.status for item in calls] == [401, 401]
    assert await _waiting(hub) == 0


async def test_a_stranger_learns_nothing_from_a_refusal(
    admin: Client, stranger: Client
) -> None:
    await _host(admin)
    other = {"name": "quiet", "package": "pypi:mcp-server-time"}
    await admin.post("/api/servers", json=other)

    told = []
    for server in ("clock", "quiet", "nothing", "1", "999999"):
        for door in ("webhook", "github"):
            path = f"/api/servers/{server}/{door}"
            headers = _headers("guess", b"{}") | {"X-Webhook-Secret": "guess"}
            response = await stranger.post(path, data=b"{}", headers=headers)
            problem = await response.json()
            del problem["request_id"]
            told.append((response.status, problem))

    assert told[0][0] == 401
    assert all(item == told[0] for item in told)


async def test_a_delivery_that_came_before_does_nothing(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    body = _push()
    headers = _headers(secret, body)
    path = "/api/servers/clock/github"
    await stranger.post(path, data=body, headers=headers)
    await _all_done(hub)

    again = await stranger.post(path, data=body, headers=headers)
    # The delivery's id is not signed: whoever replays a body may make up another.
    renamed = await _github(stranger, secret, body)
    same_id = await _github(
        stranger, secret, _push(), X_GitHub_Delivery=headers["X-GitHub-Delivery"]
    )

    answers = [await item.json() for item in (again, renamed, same_id)]
    assert [item["outcome"] for item in answers] == ["replayed"] * 3
    assert await _waiting(hub) == 0


async def test_a_push_too_old_to_be_known_again_does_nothing(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    long_ago = int((now() - timedelta(days=31)).timestamp())

    response = await _github(
        stranger, secret, _push(repository={"pushed_at": long_ago})
    )

    assert (await response.json())["outcome"] == "ignored"
    assert await _waiting(hub) == 0


async def test_what_starts_nothing_is_told_why(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    sent = [
        (_push("refs/heads/feature"), "push", "tracks main"),
        (_push("refs/heads/main", deleted=True), "push", "deleted"),
        (b'{"zen": 1}', "push", "no branch"),
        (b'{"action": "opened"}', "issues", "not issues"),
    ]

    for body, event, why in sent:
        response = await _github(stranger, secret, body, X_GitHub_Event=event)

        told = await response.json()
        assert (response.status, told["outcome"]) == (202, "ignored")
        assert why in told["detail"]
    assert await _waiting(hub) == 0


async def test_a_server_that_comes_from_a_package_tracks_no_branch(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin, name="clock", package="pypi:mcp-server-time")

    response = await _github(stranger, secret, _push())

    assert "repository" in (await response.json())["detail"]
    assert await _waiting(hub) == 0


async def test_a_stopped_server_is_not_started_from_outside(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    await admin.post("/api/servers/clock/stop")

    responses = [
        await _call(stranger, secret),
        await _github(stranger, secret, _push()),
    ]

    answers = [await item.json() for item in responses]
    assert {item["outcome"] for item in answers} == {"ignored"}
    assert await _waiting(hub) == 0
    server = await (await admin.get("/api/servers/clock")).json()
    assert server["desired_state"] == "stopped"


async def test_a_server_that_is_stopped_before_its_turn_stays_so(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    await _call(stranger, secret)
    server = await (await admin.post("/api/servers/clock/stop")).json()

    await _all_done(hub)

    found = await hub.database.run(store.get, server["id"])
    assert found.desired_state is DesiredState.STOPPED
    (delivery,) = await _deliveries(admin)
    assert (delivery["outcome"], delivery["deployment"]) == ("ignored", None)


async def test_a_deleted_server_has_no_doors(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    await admin.delete("/api/servers/clock")

    responses = [
        await _call(stranger, secret),
        await _github(stranger, secret, _push()),
    ]

    assert [item.status for item in responses] == [401, 401]
    assert await _waiting(hub) == 0


async def test_a_payload_that_is_no_json_is_refused_by_name(
    admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    responses = [
        await _github(stranger, secret, body) for body in (b"", b"[]", b"{", b"\xff")
    ]

    assert [item.status for item in responses] == [422] * 4
    assert (await responses[0].json())["code"] == "webhook_body"


async def test_a_body_that_is_too_large_is_not_read(
    admin: Client, stranger: Client
) -> None:
    await _host(admin)

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 10_000):
            yield b"x" * 10_000

    for door, size in (("webhook", 70_000), ("github", 5_300_000)):
        path = f"/api/servers/clock/{door}"
        known = await stranger.post(path, data=io.BytesIO(b"x" * size))
        streamed = await stranger.post(path, data=chunks(size))
        assert (known.status, streamed.status) == (413, 413)


async def test_whoever_guesses_is_slowed_down_and_the_owner_is_not(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    guesses = [await _call(stranger, "x") for _ in range(REFUSED_A_MINUTE + 1)]
    right = await _call(stranger, secret)

    assert guesses[0].status == 401
    assert guesses[-1].status == 429
    assert int(guesses[-1].headers["Retry-After"]) > 0
    assert right.status == 202
    assert await _waiting(hub) == 1


async def test_even_the_secret_opens_only_so_often(
    admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    calls = [await _call(stranger, secret) for _ in range(ACCEPTED_A_MINUTE + 1)]

    assert [calls[0].status, calls[-2].status, calls[-1].status] == [202, 202, 429]


async def test_the_signed_doors_are_known_by_name(hub: Hub) -> None:
    found = {
        f"{item.method} {item.path}"
        for item in operations(hub.server.app)
        if item.access is Access.SIGNED
    }

    assert found == {
        "POST /api/servers/{server}/webhook",
        "POST /api/servers/{server}/github",
        "POST /api/governance/callbacks/{step}",
    }


# -- secrets


async def test_a_new_secret_ends_the_one_before(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    old = await _host(admin)
    new = await (await admin.post("/api/servers/clock/webhook/secret")).json()

    statuses = [(await _call(stranger, item)).status for item in (old, new["secret"])]

    assert statuses == [401, 202]
    assert await _waiting(hub) == 1


async def test_a_removed_webhook_opens_nothing(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)

    removed = await admin.delete("/api/servers/clock/webhook")
    again = await admin.delete("/api/servers/clock/webhook")

    assert (removed.status, again.status) == (204, 404)
    assert (await _call(stranger, secret)).status == 401
    assert await _waiting(hub) == 0


async def test_the_secret_is_shown_once_and_stored_sealed(
    hub: Hub, admin: Client
) -> None:
    secret = await _host(admin)

    shown = await (await admin.get("/api/servers/clock/webhook")).text()
    audit = await (await admin.get("/api/audit")).text()
    (row,) = await hub.database.run(
        lambda: list(hub.database.peewee.execute_sql("SELECT secret FROM webhooks"))
    )

    assert secret not in shown
    assert secret not in audit
    assert secret.encode() not in bytes(row[0])


async def test_a_maintainer_of_another_server_learns_nothing(
    admin: Client, maintainer: Client
) -> None:
    await _host(admin)

    found = await maintainer.get("/api/servers/clock/webhook")
    made = await maintainer.post("/api/servers/clock/webhook/secret")
    removed = await maintainer.delete("/api/servers/clock/webhook")

    assert [item.status for item in (found, made, removed)] == [404, 404, 404]


async def test_a_reader_sees_the_calls_and_changes_nothing(
    admin: Client, reader: Client
) -> None:
    await _host(admin)

    found = await reader.get("/api/servers/clock/webhook")
    made = await reader.post("/api/servers/clock/webhook/secret")

    assert (found.status, made.status) == (200, 403)


# -- traces


async def test_every_call_leaves_a_line_in_the_trail(
    admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    await _github(stranger, secret, _push())
    await _call(stranger, "wrong")

    found = await (await admin.get("/api/audit?action=server.webhook_call")).json()

    lines = [
        (item["actor"], item["outcome"], item["details"].get("door"))
        for item in found["items"]
    ]
    assert lines == [("webhook", "denied", "webhook"), ("webhook", "allowed", "github")]


async def test_refused_calls_fill_no_table(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    await _host(admin)

    for _ in range(REFUSED_A_MINUTE):
        await _call(stranger, "wrong")

    rows = await hub.database.run(lambda: WebhookDeliveryRow.select().count())
    assert 0 < rows <= 5


async def test_calls_of_long_ago_are_forgotten(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    secret = await _host(admin)
    await _call(stranger, secret)
    moment = now() - timedelta(days=31)
    await hub.database.run(lambda: WebhookDeliveryRow.update(at=moment).execute())
    await _call(stranger, secret)

    pruned = await hub.services.webhooks.prune()

    assert pruned == 1
    assert len(await _deliveries(admin)) == 1


async def test_after_a_change_of_jwt_secret_the_owner_is_told_what_to_do(
    hub: Hub, admin: Client
) -> None:
    secret = await _host(admin)
    other = WebhookService(hub.database, b"another secret of 32 bytes or so")

    with pytest.raises(WebhookRefusedError):
        await other.call("clock", secret)

    (delivery,) = await _deliveries(admin)
    assert delivery["outcome"] == "refused"
    assert "Make a new one." in delivery["detail"]
