"""People over HTTP, on the pages and in the terminal: changed, shut out, and given a new password."""

import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.model import Role
from appliance.infra.database import Database
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import PASSWORD
from tests.harness.pages import Hub as Site
from tests.harness.pages import hub as site_of

Client = TestClient[Any, Any]
NEW = "another long password"


async def answer(asked: Any, status: int = 200) -> Any:
    response = await asked
    text = await response.text()
    assert response.status == status, text
    return await response.json() if text else None


async def test_an_administrator_changes_disables_and_resets_somebody(
    hub: Hub, admin: Client, tmp_path: Path
) -> None:
    key = await hub.person("ben@example.org", Role.READER)
    ben = await hub.client(key)
    number = (await answer(ben.get("/api/me")))["id"]
    path = f"/api/users/{number}"

    changed = await answer(
        admin.patch(path, json={"role": "member", "server_quota": 2})
    )
    assert (changed["role"], changed["server_quota"]) == ("member", 2)
    await answer(ben.patch(path, json={"role": "admin"}), HTTPStatus.FORBIDDEN)
    await answer(admin.patch(path, json={"disabled": True}))
    await answer(ben.get("/api/me"), HTTPStatus.UNAUTHORIZED)

    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("eve@example.org", Role.ADMIN))
    enabled = await terminal.run("users", "enable", "ben@example.org")
    listed = await terminal.run("users", "list")
    link = await terminal.run("users", "reset-link", "ben@example.org")
    assert "member, enabled" in enabled.out
    assert "ben@example.org" in listed.out
    token = link.out.strip().partition("token=")[2]
    body = {"token": token, "new": NEW}
    anybody = await hub.client()
    await answer(anybody.post("/api/password-resets", json=body), HTTPStatus.NO_CONTENT)
    again = await answer(
        anybody.post("/api/password-resets", json=body),
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
    assert again["code"] == "reset_link_unusable"
    signs = {"email": "ben@example.org", "password": NEW}
    await answer(anybody.post("/api/login", json=signs))


async def test_the_box_keeps_an_administrator(admin: Client) -> None:
    me = (await answer(admin.get("/api/me")))["id"]

    refused = await answer(
        admin.patch(f"/api/users/{me}", json={"role": "reader"}), HTTPStatus.CONFLICT
    )

    assert refused["code"] == "last_admin"
    await answer(admin.get("/api/users/999999"), HTTPStatus.NOT_FOUND)


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with site_of(database) as running:
        yield running


async def test_the_pages_do_the_same(site: Site) -> None:
    await site.sign_in()
    await site.post(
        "/settings/people", email="ben@example.org", password=PASSWORD, role="member"
    )
    number = re.findall(r"/settings/people/(\d+)/reset-link", await site.page("/settings/people"))[-1]  # fmt: skip
    person = f"/settings/people/{number}"

    quota = await site.post(person, role="reader", server_quota="x")
    await site.post(person, role="reader", server_quota="3")
    shown = await (await site.post(f"{person}/reset-link")).text()
    token = re.findall(r"/reset-password\?token=([\w-]+)", shown)[0]
    form = await site.page(f"/reset-password?token={token}")
    weak = await site.post("/reset-password", token=token, password="short")
    done = await site.post("/reset-password", token=token, password=NEW)
    used = await site.get(f"/reset-password?token={token}")
    await site.post(f"{person}/disable")

    assert quota.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "ben@example.org" in form
    assert "at least 10 characters" in await weak.text()
    assert done.headers["Location"] == "/login"
    assert "was used" in await used.text()
    assert f"{person}/enable" in await site.page("/settings/people")


async def test_quotas_are_changed_by_the_form_and_what_was_refused_stays_typed(
    site: Site,
) -> None:
    person = f"/settings/people/{(await site.sign_in()).user_id}"
    control = 'name="{}" autocomplete="off" value="{}"'.format

    wrong = await site.post(person, role="admin", build_minutes="much", disk_mib="7")
    await site.post(person, role="admin", build_minutes="40", disk_mib="any")
    limits = await site.page("/settings/people")
    await site.post(person, role="admin", build_minutes="default")
    back = await site.page("/settings/people")

    refused = await wrong.text()
    assert wrong.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "<code>build_minutes</code>: give a number, any, or default" in refused
    assert control("disk_mib", "7") in refused
    assert control("build_minutes", "40") in limits
    assert control("disk_mib", "any") in limits
    assert control("build_minutes", "default") in back
    assert control("disk_mib", "any") in back
