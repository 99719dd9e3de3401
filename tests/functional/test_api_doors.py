"""Doors that stay shut: keys, cookies, other sites, roles, limits."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import hdrs
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from appliance.infra.database import Database
from appliance.web.app import make_app
from appliance.web.keys import SESSION_COOKIE
from appliance.web.requests import Access
from appliance.web.routes import Operation, operations
from tests.functional.hub import PASSWORD, Hub, services_for, settings_for

Client = TestClient[Any, Any]
EMAIL = "admin@example.org"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}


async def _signed_in(hub: Hub) -> tuple[Client, str]:
    """Return a browser that registered first, and its token."""
    client = await hub.client()
    response = await client.post("/api/register", json=CREDENTIALS)
    assert response.status == 201
    return client, (await response.json())["csrf_token"]


# -- ways in


async def test_the_first_person_becomes_administrator_and_the_door_closes(
    hub: Hub,
) -> None:
    first, _ = await _signed_in(hub)
    second = await hub.client()

    refused = await second.post(
        "/api/register", json={"email": "b@example.org", "password": PASSWORD}
    )

    assert (await (await first.get("/api/me")).json())["role"] == "admin"
    assert refused.status == 403
    assert (await refused.json())["code"] == "registration_closed"


async def test_the_cookie_is_for_the_server_alone(hub: Hub, stranger: Client) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)

    response = await stranger.post("/api/login", json=CREDENTIALS)

    cookie = response.headers[hdrs.SET_COOKIE]
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie  # plain http: the browser would not send it back


async def test_behind_https_the_cookie_never_travels_in_clear(
    database: Database,
) -> None:
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(
            settings_for, public_url="https://mcp.example.org"
        )
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        client = await hub.client()

        response = await client.post(
            "/api/register",
            json=CREDENTIALS,
            headers={"Origin": "https://mcp.example.org"},
        )
        await hub.close()

    assert response.status == 201
    assert "Secure" in response.headers[hdrs.SET_COOKIE]
    assert "max-age=" in response.headers[hdrs.STRICT_TRANSPORT_SECURITY]


async def test_all_other_sessions_end_at_once(hub: Hub) -> None:
    here, token = await _signed_in(hub)
    there = await hub.client()
    await there.post("/api/login", json=CREDENTIALS)

    ended = await here.delete("/api/sessions", headers={"X-CSRF-Token": token})

    assert ended.status == 204
    assert (await there.get("/api/me")).status == 401
    assert (await here.get("/api/me")).status == 200


async def test_a_wrong_password_is_refused_without_saying_what_was_wrong(
    hub: Hub, stranger: Client
) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)

    wrong = await stranger.post("/api/login", json={**CREDENTIALS, "password": "x"})
    unknown = await stranger.post(
        "/api/login", json={"email": "nobody@example.org", "password": "x"}
    )

    assert (wrong.status, unknown.status) == (401, 401)
    told = [(await wrong.json()), (await unknown.json())]
    assert {item["code"] for item in told} == {"wrong_credentials"}
    assert told[0]["detail"] == told[1]["detail"]


async def test_a_refused_password_is_never_repeated(stranger: Client) -> None:
    secret = "short-x"

    response = await stranger.post(
        "/api/register", json={"email": EMAIL, "password": secret}
    )

    assert response.status == 422
    assert secret not in await response.text()


async def test_guessing_is_slowed_down(hub: Hub, stranger: Client) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)

    wrong = {**CREDENTIALS, "password": "x"}

    responses = [await stranger.post("/api/login", json=wrong) for _ in range(12)]

    assert responses[0].status == 401
    assert responses[-1].status == 429
    assert int(responses[-1].headers[hdrs.RETRY_AFTER]) > 0


@pytest.mark.parametrize(
    "key", ["", "mcph_", "mcph_" + "A" * 43, "x" * 5000, "ü", "a b"]
)
async def test_a_key_that_is_not_ours_opens_nothing(stranger: Client, key: str) -> None:
    headers = {hdrs.AUTHORIZATION: f"Bearer {key}"}

    response = await stranger.get("/api/me", headers=headers)

    assert response.status == 401
    assert response.headers[hdrs.WWW_AUTHENTICATE].startswith("Bearer")


async def test_a_revoked_key_stops_working_at_once(admin: Client) -> None:
    made = await (await admin.post("/api/keys", json={"name": "laptop"})).json()
    headers = {hdrs.AUTHORIZATION: f"Bearer {made['key']}"}
    before = await admin.get("/api/me", headers=headers)

    revoked = await admin.delete(f"/api/keys/{made['id']}")
    after = await admin.get("/api/me", headers=headers)

    assert (before.status, revoked.status, after.status) == (200, 204, 401)


async def test_keys_are_listed_without_themselves(admin: Client) -> None:
    made = await (await admin.post("/api/keys", json={"name": "laptop"})).json()

    text = await (await admin.get("/api/keys")).text()

    assert made["prefix"] in text
    assert made["key"] not in text


async def test_a_session_ends_with_logout(hub: Hub) -> None:
    browser, token = await _signed_in(hub)
    cookie = browser.session.cookie_jar.filter_cookies(URL(str(browser.make_url("/"))))

    response = await browser.post("/api/logout", headers={"X-CSRF-Token": token})

    assert response.status == 204
    again = await (await hub.client()).get(
        "/api/me",
        headers={hdrs.COOKIE: f"{SESSION_COOKIE}={cookie[SESSION_COOKIE].value}"},
    )
    assert again.status == 401


async def test_a_session_can_be_ended_from_another_one(hub: Hub) -> None:
    here, token = await _signed_in(hub)
    there = await hub.client()
    await there.post("/api/login", json=CREDENTIALS)
    sessions = (await (await here.get("/api/sessions")).json())["items"]
    other = next(item["id"] for item in sessions if not item["is_current"])

    ended = await here.delete(f"/api/sessions/{other}", headers={"X-CSRF-Token": token})

    assert ended.status == 204
    assert (await there.get("/api/me")).status == 401
    assert (await here.get("/api/me")).status == 200


# -- other sites


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": "guess"},
        {"X-CSRF-Token": "ü"},
    ],
)
async def test_a_cookie_alone_writes_nothing(hub: Hub, headers: dict[str, str]) -> None:
    browser, _ = await _signed_in(hub)

    response = await browser.post("/api/keys", json={"name": "x"}, headers=headers)

    assert response.status == 403
    assert (await response.json())["code"] == "cross_site"
    assert (await (await browser.get("/api/keys")).json())["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_another_site_writes_nothing_even_with_the_token(
    hub: Hub, headers: dict[str, str]
) -> None:
    browser, token = await _signed_in(hub)

    response = await browser.post(
        "/api/keys", json={"name": "x"}, headers={**headers, "X-CSRF-Token": token}
    )

    assert response.status == 403


async def test_another_site_cannot_sign_somebody_in(hub: Hub, stranger: Client) -> None:
    await hub.services.accounts.register(EMAIL, PASSWORD)

    response = await stranger.post(
        "/api/login", json=CREDENTIALS, headers={"Origin": "https://evil.example"}
    )

    assert response.status == 403
    assert hdrs.SET_COOKIE not in response.headers


async def test_the_page_itself_writes(hub: Hub) -> None:
    browser, token = await _signed_in(hub)
    origin = str(browser.make_url("/")).rstrip("/")

    response = await browser.post(
        "/api/keys",
        json={"name": "x"},
        headers={
            "Origin": origin,
            "Sec-Fetch-Site": "same-origin",
            "X-CSRF-Token": token,
        },
    )

    assert response.status == 201


async def test_a_form_cannot_pose_as_json(admin: Client) -> None:
    response = await admin.post(
        "/api/keys",
        data=json.dumps({"name": "x"}),
        headers={hdrs.CONTENT_TYPE: "text/plain"},
    )

    assert response.status == 415


# -- everything that is routed


def _first(item: Operation) -> str:
    """Return the address of the first of what a route is about."""
    path = item.path
    for name in item.path_parameters:
        path = path.replace(f"{{{name}}}", "1")
    return path


async def test_every_address_that_is_not_open_asks_who_it_is(
    hub: Hub, stranger: Client
) -> None:
    app = hub.server.app
    # Clients of OAuth show themselves as its protocol has it (tests/functional/test_oauth.py).
    open_ = {Access.PUBLIC, Access.PROTOCOL}
    shut = [item for item in operations(app) if item.access not in open_]

    statuses = {}
    for item in shut:
        path = _first(item)
        # A callback says first what it can be told at all, the same whether there is such a step or not.
        body = {"outcome": "passed"} if item.access is Access.SIGNED else None
        response = await stranger.request(item.method, path, json=body)
        statuses[f"{item.method} {path}"] = response.status

    assert len(statuses) > 25
    assert set(statuses.values()) == {401}, statuses


async def test_what_is_for_administrators_refuses_others(
    hub: Hub, maintainer: Client
) -> None:
    only = [item for item in operations(hub.server.app) if item.access is Access.ADMIN]

    statuses = {
        item.path: (await maintainer.request(item.method, _first(item))).status
        for item in only
    }

    assert statuses
    assert set(statuses.values()) == {403}, statuses


async def test_what_is_open_is_known_by_name(hub: Hub) -> None:
    found = {
        f"{item.method} {item.path}"
        for item in operations(hub.server.app)
        if item.access is Access.PUBLIC
    }

    assert found == {
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
        "POST /api/login",
        "POST /api/register",
        "GET /api/sign-in",
        # Whoever holds the link that an administrator made.
        "POST /api/password-resets",
        # Discovery: to strangers, what its owner listed (tests/functional/test_api_discovery.py).
        "GET /.well-known/ai-catalog.json",
        "GET /.well-known/mcp.json",
        "GET /.well-known/mcp/server-card.json",
        "GET /v0.1/servers",
        "GET /v0.1/servers/{name}/versions",
        "GET /v0.1/servers/{name}/versions/{version}",
        # The authorization server: who it is and how its tokens are checked.
        "GET /.well-known/oauth-authorization-server",
        "GET /.well-known/openid-configuration",
        "GET /oauth/jwks",
        # What this box is to authorization servers elsewhere.
        "GET /client-metadata.json",
    }


async def test_what_speaks_the_protocol_of_oauth_is_known_by_name(hub: Hub) -> None:
    found = {
        f"{item.method} {item.path}"
        for item in operations(hub.server.app)
        if item.access is Access.PROTOCOL
    }

    assert found == {"POST /oauth/token", "POST /oauth/revoke", "POST /oauth/register"}


# -- what is too much, or not text


async def test_a_body_that_is_too_large_is_refused(admin: Client) -> None:
    body = io.BytesIO(json.dumps({"name": "x" * 2_000_000}).encode())

    response = await admin.post(
        "/api/keys", data=body, headers={hdrs.CONTENT_TYPE: "application/json"}
    )

    assert response.status == 413
    assert (await response.json())["code"] == "too_large"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
async def test_a_body_that_is_not_json_is_refused(admin: Client, body: bytes) -> None:
    response = await admin.post(
        "/api/keys", data=body, headers={hdrs.CONTENT_TYPE: "application/json"}
    )

    assert response.status == 400
    assert (await response.json())["code"] == "malformed"


async def test_a_body_that_is_not_an_object_names_it(admin: Client) -> None:
    response = await admin.post("/api/keys", json=["x"])

    assert response.status == 422
    assert (await response.json())["errors"][0]["field"] == "body"


# -- every answer


@pytest.mark.parametrize("path", ["/healthz", "/api/nothing", "/api/me"])
async def test_every_answer_carries_its_request_id_and_the_security_headers(
    stranger: Client, path: str
) -> None:
    response = await stranger.get(path, headers={"X-Request-Id": "my-request-1"})

    assert response.headers["X-Request-Id"] == "my-request-1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


async def test_a_request_id_that_is_not_sane_is_replaced(stranger: Client) -> None:
    response = await stranger.get("/healthz", headers={"X-Request-Id": "a b<script>"})

    assert response.headers["X-Request-Id"] != "a b<script>"
    assert len(response.headers["X-Request-Id"]) == 16


async def test_an_unknown_address_and_a_wrong_method_are_problems(
    stranger: Client,
) -> None:
    nothing = await stranger.get("/api/nothing")
    wrong = await stranger.patch("/api/me")

    assert (nothing.status, (await nothing.json())["code"]) == (404, "no_such_address")
    assert (wrong.status, (await wrong.json())["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers[hdrs.ALLOW]


async def test_odd_methods_and_invented_addresses_do_not_grow_the_metrics(
    stranger: Client,
) -> None:
    for number in range(5):
        await stranger.request("PROPFIND", f"/invented/{number}")

    text = await (await stranger.get("/metrics")).text()

    counted = [line for line in text.splitlines() if 'method="other"' in line]
    assert [line.rpartition(" ")[2] for line in counted] == ["5.0"], counted
    assert "invented" not in text.lower()


async def test_metrics_are_for_this_box_and_for_administrators(
    admin: Client, maintainer: Client, stranger: Client
) -> None:
    outside = {"X-Forwarded-For": "203.0.113.9"}  # a proxy on this box asks for others

    local = await stranger.get("/metrics")
    forwarded = [
        (await client.get("/metrics", headers=outside)).status
        for client in (stranger, maintainer, admin)
    ]

    assert "mcp_host_http_requests_total" in await local.text()
    assert forwarded == [403, 403, 200]
