"""Certificates as administrators reach them: REST, pages and mcpctl."""

import html
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient

from appliance.certificates import store
from appliance.certificates.model import Kind
from appliance.certificates.own_ca import OwnCa
from appliance.core.clock import now
from appliance.infra.database import Database
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import hub as site

HOST = "mcp.example.org"
Client = TestClient[Any, Any]


async def test_a_certificate_is_brought_shown_and_removed_and_its_key_never_comes_out(
    hub: Hub, admin: Client
) -> None:
    issued = OwnCa.made(now()).issue([HOST], now())
    brought = {"chain": issued.chain, "key": issued.key.decode()}

    made = await admin.post("/api/certificates/upload", json=brought)

    assert made.status == HTTPStatus.CREATED
    item = await made.json()
    assert (item["names"], item["kind"], item["status"]) == ([HOST], "uploaded", "valid")  # fmt: skip
    assert item["days_left"] == 396
    again = await (await admin.post("/api/certificates/upload", json=brought)).json()
    assert again["id"] == item["id"]
    shown = await admin.get(f"/api/certificates/{item['id']}")
    listed = await admin.get("/api/certificates")
    for answer in (made, shown, listed):
        assert "PRIVATE" not in await answer.text()
    assert [event["kind"] for event in (await shown.json())["events"]] == ["uploaded"] * 2  # fmt: skip
    sealed = await hub.database.run(store.key_of, item["id"])
    assert sealed is not None
    assert issued.key not in sealed
    renewed = await admin.post(f"/api/certificates/{item['id']}/renew")
    assert (await renewed.json())["code"] == "certificate_not_ordered"
    removed = await admin.delete(f"/api/certificates/{item['id']}")
    assert removed.status == HTTPStatus.NO_CONTENT
    trail = await (await admin.get("/api/audit?object_type=certificate")).json()
    assert [line["action"] for line in trail["items"]] == [
        "certificate.remove",
        "certificate.upload",
        "certificate.upload",
    ]


async def test_what_cannot_be_served_names_the_field(admin: Client) -> None:
    own = OwnCa.made(now())
    one, other = own.issue([HOST], now()), own.issue([HOST], now())

    answer = await admin.post(
        "/api/certificates/upload",
        json={"chain": one.chain, "key": other.key.decode()},
    )

    assert answer.status == HTTPStatus.UNPROCESSABLE_ENTITY
    told = await answer.json()
    assert told["code"] == "certificate_invalid"
    (error,) = told["errors"]
    assert error["field"] == "key"
    assert "not the key of the first certificate" in error["message"]


async def test_nothing_is_ordered_without_an_account_nor_for_what_is_no_name(
    admin: Client,
) -> None:
    nobody = await admin.post("/api/certificates", json={"names": [HOST]})
    wrong = await admin.post("/api/certificates", json={"names": ["10.0.0.1"]})

    assert nobody.status == HTTPStatus.CONFLICT
    assert "ACME_EMAIL" in (await nobody.json())["hint"]
    (error,) = (await wrong.json())["errors"]
    assert error["field"] == "names"
    assert "no name that an authority knows" in error["message"]


async def test_the_own_authoritys_root_is_for_whoever_is_signed_in(
    hub: Hub, admin: Client, reader: Client
) -> None:
    before = await reader.get("/api/certificates/own-ca.pem")
    own = OwnCa.made(now())
    await hub.database.run(store.keep_own_ca, own.certificate, b"sealed")

    after = await reader.get("/api/certificates/own-ca.pem")
    listed = await admin.get("/api/certificates")

    assert before.status == HTTPStatus.NOT_FOUND
    assert await after.text() == own.certificate
    assert (await listed.json())["authority"]["own_ca_fingerprint"] == own.fingerprint
    assert (await reader.get("/api/certificates")).status == HTTPStatus.FORBIDDEN


async def test_only_what_was_asked_for_is_removed_by_hand(
    hub: Hub, admin: Client
) -> None:
    number = await hub.database.run(lambda: store.add([HOST], Kind.ACME))

    removed = await admin.delete(f"/api/certificates/{number}")
    revoked = await admin.post(f"/api/certificates/{number}/revoke")

    assert (await removed.json())["code"] == "certificate_in_use"
    assert "Only what was issued" in (await revoked.json())["detail"]


async def test_the_pages_show_all_and_take_the_same(
    database: Database, tmp_path: Path
) -> None:
    own = OwnCa.made(now())
    issued = own.issue([HOST, "www.example.org"], now())
    async with site(database, data_dir=tmp_path, proxy_enabled=True) as pages:
        await pages.sign_in()
        await database.run(store.keep_own_ca, own.certificate, b"sealed")
        place = "/settings/certificates"

        empty = await pages.page(place)
        wrong = await pages.post(f"{place}/upload", chain="x", key="a secret thing")
        refused = await wrong.text()
        brought = await pages.post(
            f"{place}/upload", chain=issued.chain, key=issued.key.decode()
        )
        detail = await pages.page(brought.headers["Location"])
        listed = await pages.page(place)
        revoked = await pages.post(f"{brought.headers['Location']}/revoke")
        removed = await pages.post(f"{brought.headers['Location']}/remove")

        assert "Only the box's own CA serves" in html.unescape(empty)
        assert own.fingerprint in empty
        assert "is no PEM" in refused
        assert "a secret thing" not in refused
        assert HOST in listed
        assert "and 1 more" in listed
        assert issued.serial in detail
        assert "PRIVATE" not in detail
        assert "Only what was issued" in await revoked.text()
        assert removed.headers["Location"] == place


async def test_mcpctl_brings_shows_and_prints_the_own_authoritys_root(
    hub: Hub, tmp_path: Path
) -> None:
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("admin@example.org"))
    own = OwnCa.made(now())
    issued = own.issue([HOST], now())
    await hub.database.run(store.keep_own_ca, own.certificate, b"sealed")
    (tmp_path / "chain.pem").write_text(issued.chain)
    (tmp_path / "key.pem").write_bytes(issued.key)

    files = [str(tmp_path / name) for name in ("chain.pem", "key.pem")]
    made = await terminal.run("certificates", "upload", *files, "--json")
    number = str(made.json()["id"])
    shown = await terminal.run("certificates", "show", number)
    listed = await terminal.run("certificates", "list")
    root = await terminal.run("certificates", "own-ca")
    refused = await terminal.run("certificates", "renew", number)
    removed = await terminal.run("certificates", "remove", number)

    assert issued.fingerprint in shown.out
    assert "uploaded" in shown.out
    assert HOST in listed.out
    assert own.fingerprint in listed.out
    assert root.out == own.certificate
    assert "It was brought" in refused.err
    assert removed.out == "removed\n"
