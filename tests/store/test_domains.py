"""Domains on a real Postgres, asked for at a real DNS server: claimed, shown to be theirs, served, given up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from appliance.accounts.model import SYSTEM, Principal, Role
from appliance.core.clock import now
from appliance.domains import certifying, store
from appliance.domains.asking import Asker
from appliance.domains.checking import Checker
from appliance.domains.errors import (
    DomainExistsError,
    DomainTakenError,
    FrontDoorOffError,
)
from appliance.domains.model import CertificateKind, Domain, Proof, Status, TxtBecause
from appliance.domains.names import BoxNames
from appliance.domains.service import DomainService, Holder, Wish
from appliance.infra.database import Database, proxy
from tests.harness.dns_zone import Zone, zone

HERE = "192.0.2.7"
ADA = Principal(1, "ada@example.org", Role.MEMBER, "session")
BOB = Principal(2, "bob@example.org", Role.MEMBER, "session")


@dataclass
class Room:
    """Two people with a server each, one with two; and DNS."""

    database: Database
    zone: Zone
    service: DomainService
    checker: Checker
    prepared: list[str]

    async def claim(self, who: Principal, server: str, host: str) -> Domain:
        return (await self.service.add(who, server, host)).domain

    async def look(self, domain: Domain) -> Domain:
        """Have a domain looked at now, whenever its turn was."""
        await self.database.run(store.change, domain.id, next_check_at=now())
        await self.checker.look()
        found = await self.database.run(store.find, domain.id)
        assert found is not None
        return found

    async def sql(self, query: str, *values: Any) -> Any:
        return await self.database.run(
            lambda: proxy.execute_sql(query, values).fetchall()
        )


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    def fill() -> None:
        for number in (1, 2):
            proxy.execute_sql(
                "INSERT INTO users (email, password_hash, role) VALUES (%s, '', 'member')",
                (f"{number}@example.org",),
            )
        for name, owner in (("clock", 1), ("other", 1), ("bobs", 2)):
            proxy.execute_sql(
                "INSERT INTO servers (name, owner_id, source, endpoint_key_hash, endpoint_key_prefix)"
                " VALUES (%s, %s, '{}', %s, '')",
                (name, owner, name.encode()),
            )

    def find(principal: Principal, server: int | str) -> Holder:
        query = (
            "SELECT id, name, owner_id FROM servers WHERE name = %s AND owner_id = %s"
        )
        row = proxy.execute_sql(query, (server, principal.user_id)).fetchone()
        assert row is not None, "not theirs"
        return Holder(*row)

    prepared: list[str] = []

    async def prepare(host: str) -> None:
        prepared.append(host)

    await database.run(fill)
    async with zone() as names:
        service = DomainService(
            database,
            seen=find,
            changed=find,
            box=BoxNames({"hub.example.org"}, "mcp.example.net"),
            expected=lambda: (HERE,),
            is_open=True,
            port=8443,
        )
        asker = Asker([("127.0.0.1", names.port)])
        checker = Checker(database, asker, expected=lambda: (HERE,), prepare=prepare)
        yield Room(database, names, service, checker, prepared)


async def test_a_name_that_points_here_is_served_once_it_was_seen_to(
    room: Room,
) -> None:
    made = await room.claim(ADA, "clock", "MCP.Acme.com")
    await room.checker.look()
    (waiting,) = await room.service.of_server(ADA, "clock")
    room.zone.set("mcp.acme.com", "CNAME", "lb.acme.com")
    room.zone.set("lb.acme.com", "A", HERE)

    found = await room.look(made)

    assert (waiting.domain.status, waiting.domain.checks) == (Status.PENDING, 1)
    assert "has no address in DNS yet; point it to 192.0.2.7" in waiting.domain.reason
    assert next(item.value for item in waiting.records) == HERE
    assert waiting.url == "https://mcp.acme.com:8443/mcp"
    assert (found.status, found.verified_by) == (Status.ISSUING, Proof.ADDRESS)
    assert found.found == "CNAME lb.acme.com; addresses 192.0.2.7"
    assert room.prepared == ["mcp.acme.com"], "its certificate comes first"
    assert await room.sql("SELECT host, server_name FROM gateway_domains") == [("mcp.acme.com", "clock")]  # fmt: skip
    trail = await room.sql("SELECT action, object_name FROM audit_events ORDER BY id")
    assert trail == [("domain.add", "mcp.acme.com"), ("domain.verify", "mcp.acme.com")]


async def test_who_comes_second_is_refused_and_not_told_whose_it_is(room: Room) -> None:
    room.zone.set("a.acme.com", "A", HERE)
    mine = await room.claim(ADA, "clock", "a.acme.com")
    beside = await room.claim(BOB, "bobs", "a.acme.com")
    with pytest.raises(DomainExistsError):
        await room.claim(ADA, "clock", "a.acme.com")

    await room.database.run(store.change, beside.id, next_check_at=None)
    await room.look(mine)

    late = await room.database.run(store.find, beside.id)
    assert late is not None
    assert (late.status, late.verified_at) == (Status.ERROR, None)
    await room.database.run(store.remove, late)
    with pytest.raises(DomainTakenError) as strangers:
        await room.claim(BOB, "bobs", "a.acme.com")
    with pytest.raises(DomainTakenError) as own:
        await room.claim(ADA, "other", "a.acme.com")
    assert "clock" not in strangers.value.reason
    assert "clock" in (own.value.hint or "")
    assert await room.sql("SELECT host FROM gateway_domains") == [("a.acme.com",)], (
        "giving up a claim touches nobody else's name"
    )


async def test_a_name_that_was_given_up_is_shown_by_text_alone_to_be_anothers(
    room: Room,
) -> None:
    room.zone.set("a.acme.com", "A", HERE)
    room.zone.set("b.acme.com", "A", HERE)
    for host in ("a.acme.com", "b.acme.com"):
        await room.look(await room.claim(ADA, "clock", host))
    first = (await room.service.of_server(ADA, "clock"))[0].domain
    await room.service.remove(ADA, "clock", first.id)
    # The rest goes with its server.
    await room.database.run(lambda: proxy.execute_sql("DELETE FROM servers WHERE name = 'clock'"))  # fmt: skip

    again = await room.look(await room.claim(ADA, "other", "a.acme.com"))
    taken = await room.claim(BOB, "bobs", "b.acme.com")
    by_address = await room.look(taken)
    room.zone.set("_mcp-host.b.acme.com", "TXT", "x", taken.challenge)
    by_text = await room.look(taken)

    assert again.verified_by is Proof.ADDRESS, "whose it was may have it back"
    assert (by_address.status, by_address.txt_because) == (Status.PENDING, TxtBecause.RELEASED)  # fmt: skip
    assert "Somebody else had this name" in by_address.reason
    assert by_text.verified_by is Proof.TXT


async def test_a_wildcard_needs_the_text_record_and_names_below_it_cannot_be_taken_by_address(
    room: Room,
) -> None:
    room.zone.set("*.acme.com", "A", HERE)
    wild = await room.claim(ADA, "clock", "*.acme.com")
    vain = await room.look(wild)
    room.zone.set("_mcp-host.acme.com", "TXT", wild.challenge)
    shown = await room.look(wild)

    stolen = await room.look(await room.claim(BOB, "bobs", "x.acme.com"))
    own = await room.look(await room.claim(ADA, "other", "y.acme.com"))

    assert (vain.status, vain.txt_because) == (Status.PENDING, TxtBecause.WILDCARD)
    assert (shown.verified_by, shown.reason) == (Proof.TXT, "")
    assert (stolen.verified_at, stolen.txt_because) == (None, TxtBecause.COVERED)
    assert own.verified_by is Proof.ADDRESS


async def test_what_is_served_stays_served_and_warned_of_while_dns_is_elsewhere(
    room: Room,
) -> None:
    room.zone.set("a.acme.com", "A", HERE)
    made = await room.look(await room.claim(ADA, "clock", "a.acme.com"))
    await room.database.run(certifying.tell, made.host, Status.ACTIVE)
    room.zone.broken.add("a.acme.com")
    unknown = await room.look(made)
    room.zone.broken.clear()
    room.zone.set("a.acme.com", "A", "198.51.100.1")
    away = await room.look(made)
    assert away.away_since is not None
    long_ago = away.away_since - timedelta(days=4)
    await room.database.run(store.change, made.id, away_since=long_ago)
    told = await room.look(made)
    twice = await room.look(made)
    room.zone.set("a.acme.com", "A", HERE)
    back = await room.look(made)

    assert (unknown.status, unknown.reason, unknown.away_since) == (Status.ACTIVE, "", None)  # fmt: skip
    assert (away.status, away.is_verified) == (Status.ACTIVE, True)
    assert "points to 198.51.100.1; point it to 192.0.2.7" in away.reason
    assert told.told_at is not None
    assert twice.told_at == told.told_at
    assert (back.reason, back.away_since, back.told_at) == ("", None, None)
    trail = await room.sql("SELECT count(*) FROM audit_events WHERE action = 'domain.away'")  # fmt: skip
    assert trail == [(1,)]


async def test_dns_that_cannot_be_asked_is_told_and_asked_again_later(
    room: Room,
) -> None:
    room.zone.broken.add("a.acme.com")
    made = await room.claim(ADA, "clock", "a.acme.com")

    first = await room.look(made)
    second = await room.look(made)
    checked = await room.service.check(ADA, "clock", made.id)

    assert "DNS could not be asked" in first.reason
    assert first.next_check_at is not None
    assert second.next_check_at is not None
    assert second.checked_at is not None
    assert second.next_check_at - second.checked_at == timedelta(seconds=10)
    assert checked.domain.checks == 0


async def test_old_names_lead_to_new_ones_and_certificates_are_wanted_for_both(
    room: Room,
) -> None:
    for host in ("old.acme.com", "new.acme.com"):
        room.zone.set(host, "A", HERE)
        made = await room.look(await room.claim(ADA, "clock", host))
        await room.database.run(certifying.tell, made.host, Status.ACTIVE)
    old, new = await room.service.of_server(ADA, "clock")
    before = await room.database.run(room.service.urls_of, ["clock", "bobs"])
    wish = Wish("NEW.acme.com", CertificateKind.OWN_CA)

    changed = await room.service.change(ADA, "clock", old.domain.id, wish)

    after = await room.database.run(room.service.urls_of, ["clock", "bobs"])
    wanted = await room.database.run(certifying.wanted)
    assert changed.domain.redirect_to == "new.acme.com"
    assert before == {"clock": "https://old.acme.com:8443/mcp"}
    assert after == {"clock": "https://new.acme.com:8443/mcp"}, (
        "who is led on is not told of"
    )
    assert [tuple(item)[:2] for item in wanted] == [("old.acme.com", "own-ca"), ("new.acme.com", "acme")]  # fmt: skip
    assert new.domain.status is Status.ACTIVE


async def test_without_a_front_door_no_name_is_taken_in(room: Room) -> None:
    room.service.is_open = False

    with pytest.raises(FrontDoorOffError):
        await room.claim(ADA, "clock", "a.acme.com")


async def test_an_administrator_answers_for_names_that_dns_does_not_know(
    room: Room,
) -> None:
    service = DomainService(
        room.database,
        seen=lambda _, server: Holder(1, str(server), 1),
        changed=lambda _, server: Holder(1, str(server), 1),
        box=BoxNames(()),
        expected=lambda: (),
        is_open=True,
        port=443,
    )

    made = await service.add(SYSTEM, "clock", "mcp.corp.internal", is_trusted=True)

    assert (made.domain.verified_by, made.url) == (Proof.ADMIN, "https://mcp.corp.internal/mcp")  # fmt: skip
    with pytest.raises(Exception, match="may not administer"):
        await service.add(ADA, "clock", "b.corp.internal", is_trusted=True)
