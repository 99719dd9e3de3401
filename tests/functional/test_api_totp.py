"""The second factor over HTTP, on the pages and in the terminal."""

import base64
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts import totp
from appliance.infra.database import Database
from appliance.web.qr import qr_svg
from tests.functional.hub import PASSWORD as HUB_PASSWORD
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import PASSWORD
from tests.harness.pages import Hub as Site
from tests.harness.pages import hub as site_of
from tests.store.test_second_factor import code_of

Client = TestClient[Any, Any]


async def test_signing_in_over_the_api_and_in_the_terminal_wants_a_code(
    hub: Hub, admin: Client, tmp_path: Path
) -> None:
    me = await (await admin.get("/api/me")).json()
    secret = (await (await admin.post("/api/me/totp")).json())["secret"]
    turned_on = await admin.post("/api/me/totp/confirm", json={"code": code_of(secret)})
    recovery = (await turned_on.json())["recovery_codes"]
    signs = {"email": me["email"], "password": HUB_PASSWORD}
    anybody = await hub.client()

    needed = await anybody.post("/api/login", json=signs)
    wrong = await anybody.post("/api/login", json={**signs, "code": "000000"})
    right = await anybody.post(
        "/api/login", json={**signs, "code": code_of(secret, steps=1)}
    )
    terminal = await Terminal(hub, tmp_path).run(
        "login", "--email", me["email"], "--password-stdin",
        stdin=f"{HUB_PASSWORD}\n{recovery[0]}\n",
    )  # fmt: skip

    assert (needed.status, (await needed.json())["code"]) == (401, "code_required")
    assert (wrong.status, (await wrong.json())["code"]) == (401, "wrong_code")
    assert right.status == HTTPStatus.OK
    assert "Logged in" in terminal.out, terminal
    left = await (await admin.get("/api/me/totp")).json()
    assert left["recovery_codes_left"] == len(recovery) - 1
    reset = await admin.delete(f"/api/users/{me['id']}/totp")
    assert reset.status == HTTPStatus.NO_CONTENT


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with site_of(database) as running:
        yield running


async def test_the_pages_enrol_and_ask(site: Site) -> None:
    await site.sign_in()
    begun = await (await site.post("/settings/totp")).text()
    secret = re.findall(r"secret=([A-Z2-7]{32})", begun)[0]
    picture = qr_svg(
        totp.uri(base64.b32decode(secret), "ada@example.org"), "The key as a QR code"
    )
    wrong = await site.post("/settings/totp/confirm", code="000000")
    done = await site.post("/settings/totp/confirm", code=code_of(secret))
    recovery = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", await done.text())
    site.client.session.cookie_jar.clear()

    asked = await site.post(
        "/login", email="ada@example.org", password=PASSWORD, next="/settings/keys"
    )
    ticket = re.findall(r'name="ticket" value="(\w+)"', await asked.text())[0]
    refused = await site.post("/login/code", ticket=ticket, code="000000")
    opened = await site.post(
        "/login/code",
        ticket=ticket,
        code=code_of(secret, steps=1),
        next="/settings/keys",
    )

    assert picture in begun
    assert wrong.status == HTTPStatus.UNAUTHORIZED
    assert len(recovery) >= 10
    assert refused.status == HTTPStatus.UNAUTHORIZED
    assert f'value="{ticket}"' in await refused.text()
    assert opened.headers["Location"] == "/settings/keys"
    assert "Recovery codes left: 10" in await site.page("/settings/totp")
