"""Domains as people and programs use them: REST, the tab, mcpctl, and what clients are told of once one is active."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.model import NewKey
from appliance.core.clock import now
from appliance.domains import certifying, findings, store
from appliance.domains.model import Proof, Status
from appliance.domains.ownership import Finding
from appliance.infra.database import Database
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import Hub, hub

API = "/api/servers/clock/domains"
HERE = "203.0.113.7"


@dataclass
class Address:
    """All of a hub that a terminal has to know."""

    server: Any


@dataclass
class Desk:
    """A hub behind a front door, with ada's server, and her key."""

    hub: Hub
    key: str

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Ask the API; returns the status and the JSON answered."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await self.hub.client.request(
            method, path, headers=headers, json=body or None
        )
        return answer.status, await answer.json() if answer.status != 204 else None


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    async with hub(
        database,
        data_dir=tmp_path / "data",
        proxy_enabled=True,
        proxy_https_port=8443,
        public_url="http://hub.example.org",
        public_addresses=HERE,
        base_domain="box.example.net",
    ) as running:
        ada = await running.sign_in()
        await running.host(ada, "clock")
        made = await running.services.accounts.keys.create(ada, NewKey("desk"))
        yield Desk(running, made.shown)


async def shown_to_be_ours(site: Desk, domain_id: int, status: Status) -> None:
    """Do what the front door's process does when DNS leads here and a certificate has come."""

    def write() -> None:
        found = findings.write(domain_id, Finding(Proof.ADDRESS, points_here=True), now())  # fmt: skip
        assert found is not None
        certifying.tell(found.host, status)

    await site.hub.database.run(write)


async def test_a_domain_is_claimed_and_clients_are_told_of_it_once_it_is_active(
    site: Desk,
) -> None:
    refused = [
        (await site.ask("POST", API, host=host))[1]["code"]
        for host in ("hub.example.org", "x.box.example.net", "https://a.org")
    ]
    status, made = await site.ask("POST", API, host="Bücher.Acme.com")
    again = await site.ask("POST", API, host="bücher.acme.com")
    checked = await site.ask("POST", f"{API}/{made['id']}/check")

    assert refused == ["domain_invalid"] * 3
    assert status == 201
    assert (made["host"], made["name"]) == ("xn--bcher-kva.acme.com", "bücher.acme.com")
    assert (made["status"], made["needs_txt"]) == ("pending", False)
    assert made["records"][0]["type"] == "A"
    assert made["records"][0]["value"] == HERE
    assert (again[0], again[1]["code"]) == (409, "domain_exists")
    assert checked[0] == 202

    await shown_to_be_ours(site, made["id"], Status.ACTIVE)
    url = "https://xn--bcher-kva.acme.com:8443/mcp"
    assert (await site.ask("GET", "/api/servers/clock"))[1]["endpoint"] == url
    assert url in await site.hub.page("/servers/clock/connect")


async def test_a_domain_is_led_on_listed_and_given_up_and_the_trail_tells(
    site: Desk,
) -> None:
    numbers = [
        (await site.ask("POST", API, host=host))[1]["id"]
        for host in ("old.acme.com", "*.acme.com", "new.acme.com")
    ]
    one = f"{API}/{numbers[0]}"
    early = await site.ask("PUT", one, redirect_to="new.acme.com")
    for number in (numbers[0], numbers[2]):
        await shown_to_be_ours(site, number, Status.ACTIVE)
    led = await site.ask("PUT", one, redirect_to="New.acme.com")
    used = await site.ask("DELETE", f"{API}/{numbers[2]}")
    _, page = await site.ask("GET", "/api/domains?limit=2")
    gone = await site.ask("DELETE", one)
    missing = await site.ask("GET", one)
    _, trail = await site.ask("GET", "/api/audit?object_type=domain")

    assert (early[0], early[1]["code"]) == (422, "domain_invalid")
    assert led[1]["redirect_to"] == "new.acme.com"
    assert (used[0], used[1]["code"]) == (409, "domain_in_use")
    assert [item["host"] for item in page["items"]] == ["old.acme.com", "*.acme.com"]
    assert page["next_cursor"] == numbers[1]
    assert gone[0] == 204
    assert missing[1]["code"] == "domain_not_found"
    actions = {item["action"]: item for item in trail["items"]}
    assert {"domain.add", "domain.verify", "domain.remove"} <= actions.keys()
    change = actions["domain.change"]
    assert change["before"] == {"redirect_to": None}
    assert change["after"] == {"redirect_to": "new.acme.com"}


async def test_the_tab_says_what_to_set_and_what_became_of_it(site: Desk) -> None:
    empty = await site.hub.page("/servers/clock/domains")
    refused = await (await site.hub.post("/servers/clock/domains", host="a.org:1")).text()  # fmt: skip
    await site.hub.post("/servers/clock/domains", host="*.acme.com")
    waiting = await site.hub.page("/servers/clock/domains")
    assert "The TXT record shows that the name is yours; the addresses" in waiting
    (number,) = set(re.findall(r"/domains/(\d+)/check", waiting))
    wild = await site.hub.database.run(store.find, int(number))
    assert wild is not None
    await shown_to_be_ours(site, wild.id, Status.ISSUING)
    served = await site.hub.page("/servers/clock/domains")

    everywhere = await site.hub.page("/domains")

    assert "No domains yet" in empty
    assert 'href="/servers/clock/domains">*.acme.com</a>' in everywhere
    assert "https://clock.box.example.net:8443/mcp" in empty
    assert "leave out the port" in refused
    assert 'value="a.org:1"' in refused, "nothing typed is lost"
    assert wild.challenge in waiting
    assert "_mcp-host.acme.com" in waiting
    assert "Pending" in waiting
    assert "Certificate on its way" in served
    assert "The certificate is of this box's own authority until" in html.unescape(
        served
    )
    assert "Every name right below leads to clock." in html.unescape(served)


async def test_mcpctl_adds_shows_and_removes_domains(
    site: Desk, tmp_path: Path
) -> None:
    terminal = Terminal(Address(site.hub.client.server), tmp_path / "home")  # type: ignore[arg-type]
    terminal.show_key(site.key)

    added = await terminal.run("domains", "add", "clock", "a.acme.com")
    late = await terminal.run("domains", "add", "clock", "b.acme.com", "--wait", "--timeout", "0")  # fmt: skip
    trusted = await terminal.run("domains", "add", "clock", "c.acme.com", "--trusted", "--json")  # fmt: skip
    await site.hub.database.run(certifying.tell, "c.acme.com", Status.ACTIVE)
    await shown_to_be_ours(site, trusted.json()["id"] - 2, Status.ACTIVE)
    checked = await terminal.run("domains", "check", "clock", "c.acme.com", "--wait")
    led = await terminal.run("domains", "redirect", "clock", "a.acme.com", "c.acme.com")
    listed = await terminal.run("domains", "list")
    gone = await terminal.run("domains", "remove", "clock", "b.acme.com", "--yes")
    unknown = await terminal.run("domains", "show", "clock", "b.acme.com")

    assert added.code == 0, added.err
    assert HERE in added.out
    assert "_mcp-host.a.acme.com" in added.out
    assert (late.code, "is not active after 0 s" in late.err) == (1, True)
    assert (checked.code, "Active" in checked.out or "active" in checked.out) == (0, True)  # fmt: skip
    assert "on to c.acme.com" in led.out
    assert "a.acme.com" in listed.out
    assert gone.code == 0
    assert (unknown.code, "Its domains: a.acme.com, c.acme.com" in unknown.err) == (1, True)  # fmt: skip
