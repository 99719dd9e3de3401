"""Attacks on the hub's doors, each of which finds them shut: over real HTTP."""

import asyncio
import io
import json
import statistics
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import hdrs
from aiohttp.test_utils import TestClient, TestServer

from appliance.accounts import attempts
from appliance.accounts.errors import WrongCredentialsError
from appliance.accounts.limits import PER_ADDRESS
from appliance.accounts.service import AccountService
from appliance.infra.database import Database
from appliance.web.app import MAX_BODY_BYTES, make_app
from appliance.web.keys import SESSION_COOKIE
from appliance.web.routes import operations
from tests.functional.hub import PASSWORD, Hub, services_for, settings_for

Client = TestClient[Any, Any]
EMAIL = "admin@example.org"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}
#: As a proxy on this box says it.
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "mcp.example.org"}
PAGE = "https://ops.example.org"


@pytest.fixture
async def proxied(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub behind a proxy, which the tests are, with narrow limits and one page of another origin."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(
            settings_for,
            data_dir=tmp_path / "data",
            trusted_proxies="127.0.0.1",
            cors_origins=PAGE,
            account_writes_per_minute=3,
            anonymous_requests_per_minute=3,
        )
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        running = Hub(database, services, server)
        yield running
        await running.close()


# -- guessing


async def test_one_password_for_many_people_is_slowed_down(
    hub: Hub, stranger: Client
) -> None:
    """Password spraying; an address that the caller makes up changes nothing."""
    await hub.services.accounts.register(EMAIL, PASSWORD)

    def try_others() -> None:
        for number in range(PER_ADDRESS.failures - 1):
            subject = attempts.email_subject(f"p{number}@example.org")
            attempts.begin(subject, "address:127.0.0.1")

    await hub.database.run(try_others)  # without the tenth of a second that each takes

    async def guess(number: int) -> aiohttp.ClientResponse:
        body = {"email": f"q{number}@example.org", "password": "Autumn2026!"}
        made_up = {"X-Forwarded-For": f"203.0.113.{number}"}
        return await stranger.post("/api/login", json=body, headers=made_up)

    last, over = await guess(1), await guess(2)

    assert last.status == HTTPStatus.UNAUTHORIZED
    assert over.status == HTTPStatus.TOO_MANY_REQUESTS
    assert int(over.headers[hdrs.RETRY_AFTER]) > 0
    right = await stranger.post("/api/login", json=CREDENTIALS)
    assert right.status == HTTPStatus.TOO_MANY_REQUESTS


async def test_who_is_unknown_takes_as_long_as_a_wrong_password(hub: Hub) -> None:
    """Timing tells nobody who has an account: the medians differ by less than half."""
    # With passwords that cost what they cost people.
    accounts = AccountService(hub.database, b"s" * 32)
    await accounts.register(EMAIL, PASSWORD)
    took: dict[str, list[float]] = {EMAIL: [], "nobody@example.org": []}

    for number in range(4):  # fewer than the attempts that an e-mail has
        for email, seconds in took.items():
            started = time.perf_counter()
            with pytest.raises(WrongCredentialsError):
                await accounts.login(email, "wrong", address=f"192.0.2.{number}")
            seconds.append(time.perf_counter() - started)

    accounts.close()
    known, unknown = (statistics.median(item) for item in took.values())
    assert 0.5 < known / unknown < 2, took


# -- sessions


async def test_a_session_that_somebody_else_chose_is_never_taken_over(
    hub: Hub, stranger: Client
) -> None:
    """Session fixation."""
    await hub.services.accounts.register(EMAIL, PASSWORD)
    chosen = {hdrs.COOKIE: f"{SESSION_COOKIE}=chosen-by-somebody-else"}

    signed_in = await stranger.post("/api/login", json=CREDENTIALS, headers=chosen)

    assert signed_in.status == HTTPStatus.OK
    assert signed_in.cookies[SESSION_COOKIE].value != "chosen-by-somebody-else"
    other = await hub.client()
    assert (await other.get("/api/me", headers=chosen)).status == 401


async def test_behind_tls_the_cookie_is_this_hosts_alone(proxied: Hub) -> None:
    """Over https a cookie without the prefix, which a neighbour or a plain page may set, counts for nothing."""
    client = await proxied.client()

    response = await client.post("/api/register", json=CREDENTIALS, headers=HTTPS)

    cookie = response.headers[hdrs.SET_COOKIE]
    name = f"__Host-{SESSION_COOKIE}"
    assert cookie.startswith(f"{name}=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert response.headers[hdrs.STRICT_TRANSPORT_SECURITY]
    value = response.cookies[name].value
    other = await proxied.client()
    good = HTTPS | {hdrs.COOKIE: f"{name}={value}"}
    bare = HTTPS | {hdrs.COOKIE: f"{SESSION_COOKIE}={value}"}
    assert (await other.get("/api/me", headers=good)).status == HTTPStatus.OK
    assert (await other.get("/api/me", headers=bare)).status == 401


async def test_a_password_of_a_proxy_does_not_lift_the_check_of_origin(
    hub: Hub,
) -> None:
    """Browsers add ``Basic`` by themselves, to requests that other sites cause, too."""
    browser = await hub.client()
    await browser.post("/api/register", json=CREDENTIALS)

    response = await browser.post(
        "/api/keys",
        json={"name": "x"},
        headers={hdrs.AUTHORIZATION: "Basic eDp5", "Origin": "https://evil.example"},
    )

    assert response.status == HTTPStatus.FORBIDDEN
    assert (await response.json())["code"] == "cross_site"


# -- what callers say of themselves


async def test_nobody_but_a_proxy_of_ours_says_who_asks(
    hub: Hub, stranger: Client
) -> None:
    """An address, a scheme or a name that a caller makes up reaches neither the trail, nor the cookie, nor a link."""
    made_up = {"X-Forwarded-For": "203.0.113.9", **HTTPS}

    response = await stranger.post("/api/register", json=CREDENTIALS, headers=made_up)

    (line,) = await hub.services.audit.list(action="session.create")
    assert line.address == "127.0.0.1"
    assert "Secure" not in response.headers[hdrs.SET_COOKIE]
    token = (await response.json())["csrf_token"]
    await stranger.post(
        "/api/servers",
        json={"package": "pypi:mcp-server-time", "name": "clock"},
        headers={"X-CSRF-Token": token},
    )
    shown = await stranger.get("/api/servers/clock/webhook", headers=made_up)
    assert shown.status == HTTPStatus.OK
    assert "mcp.example.org" not in await shown.text()


async def test_a_proxy_of_ours_says_who_asks(proxied: Hub) -> None:
    client = await proxied.client()
    told = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9", **HTTPS}

    await client.post("/api/register", json=CREDENTIALS, headers=told)

    (line,) = await proxied.services.audit.list(action="session.create")
    assert line.address == "203.0.113.9"


# -- too much


async def test_no_address_takes_a_body_without_end(hub: Hub, admin: Client) -> None:
    """Every operation with a body refuses one that is larger than any it needs."""
    large = json.dumps({"x": "y" * MAX_BODY_BYTES}).encode()
    found = {}
    for item in operations(hub.server.app):
        if item.body is None:
            continue
        path = item.path
        for name in item.path_parameters:
            path = path.replace(f"{{{name}}}", "1")
        response = await admin.request(
            item.method,
            path,
            data=io.BytesIO(large),
            headers={hdrs.CONTENT_TYPE: "application/json"},
        )
        found[f"{item.method} {item.path}"] = response.status

    assert len(found) > 20
    assert set(found.values()) <= {403, 404, 413}, found
    assert list(found.values()).count(413) > len(found) / 2


async def test_accounts_and_addresses_that_ask_too_often_are_told_when_to_ask(
    proxied: Hub,
) -> None:
    admin = await proxied.client(await proxied.person(EMAIL))
    stranger = await proxied.client()

    writes = [await admin.post("/api/keys", json={"name": str(n)}) for n in range(4)]
    reads = [await admin.get("/api/keys") for _ in range(4)]
    asked = [await stranger.get("/openapi.json") for _ in range(4)]
    elsewhere = await stranger.get(
        "/openapi.json", headers={"X-Forwarded-For": "203.0.113.9"}
    )

    assert [item.status for item in writes] == [201, 201, 201, 429]
    assert {item.status for item in reads} == {200}
    assert [item.status for item in asked] == [200, 200, 200, 429]
    assert (await asked[-1].json())["code"] == "too_often"
    assert 0 < int(asked[-1].headers[hdrs.RETRY_AFTER]) <= 60
    assert elsewhere.status == HTTPStatus.OK
    assert (await stranger.get("/healthz")).status == HTTPStatus.OK


# -- pages of others


async def test_pages_of_named_origins_alone_call_the_api_and_never_with_cookies(
    proxied: Hub,
) -> None:
    admin = await proxied.client(await proxied.person(EMAIL))
    asks = {"Access-Control-Request-Method": "POST", "Origin": PAGE}

    before = await admin.options("/api/keys", headers=asks)
    read = await admin.get("/api/me", headers={"Origin": PAGE})
    other = await admin.get("/api/me", headers={"Origin": "https://evil.example"})
    refused = await admin.options("/api/keys", headers={**asks, "Origin": "null"})

    assert before.status == HTTPStatus.NO_CONTENT
    assert "Authorization" in before.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS]
    for response in (before, read):
        assert response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] == PAGE
        assert hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS not in response.headers
        assert "Origin" in response.headers[hdrs.VARY]
    assert hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in other.headers
    assert hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in refused.headers


async def test_without_a_setting_no_page_of_others_reads_the_api(admin: Client) -> None:
    response = await admin.get("/api/me", headers={"Origin": PAGE})

    assert hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in response.headers


@pytest.mark.parametrize("path", ["/api/me", "/healthz", "/openapi.json", "/nothing"])
async def test_no_answer_may_be_shown_in_a_frame(stranger: Client, path: str) -> None:
    """Clickjacking."""
    policy = (await stranger.get(path)).headers["Content-Security-Policy"]

    assert "frame-ancestors 'none'" in policy
