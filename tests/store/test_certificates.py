"""Certificates on a real Postgres, ordered at a real authority that refuses every other nonce."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.certificates import account_store, store
from appliance.certificates.model import ErrorKind, Kind, State, Status
from appliance.core.clock import now
from appliance.core.front_door import BOX
from appliance.infra.database import Database
from tests.harness.certificates import Box, port_80, settings_of
from tests.harness.pebble import Pebble, pebble
from tests.harness.waiting import until

OWN, CA = "MCP Host own CA", "Pebble"


@pytest.fixture(scope="module")
def ca() -> Iterator[Pebble]:
    with pebble() as running:
        yield running


@pytest.fixture
async def box(database: Database, tmp_path: Path, ca: Pebble) -> AsyncIterator[Box]:
    settings = await asyncio.to_thread(settings_of, tmp_path, ca)
    made = Box(database, settings)
    async with port_80(ca, settings):
        yield made
        await made.stop()


async def test_a_name_has_a_certificate_at_once_and_soon_one_that_others_trust(
    box: Box,
) -> None:
    box.start()
    await box.want("a.test")

    own = await box.lies("a.test", OWN)
    issued = await box.lies("a.test", CA)

    await box.loads("a.test")
    kept = await box.reaches("a.test", Status.VALID)
    assert kept.fingerprint == issued.fingerprint != own.fingerprint
    assert kept.renew_at is not None
    assert kept.renew_at - now() > timedelta(days=50)
    await until(lambda: box.told["a.test"].state is State.VALID)
    events = await box.database.run(store.events_of, kept.id)
    assert [item.kind for item in events] == ["issued", "shown", "ordered"]
    assert OWN in (await box.lies(BOX, OWN)).issuer
    await box.loads(BOX)


async def test_one_that_ended_while_the_box_was_off_is_ordered_at_once(
    box: Box,
) -> None:
    box.start()
    await box.want("b.test")
    kept = await box.reaches("b.test", Status.VALID)
    first = await box.lies("b.test", CA)
    await box.stop()

    ended = {"not_after": now() - timedelta(days=1), "renew_at": now()}
    await box.database.run(lambda: store.change(kept.id, **ended))
    box.start()

    await asyncio.wait_for(_another(box, "b.test", first.fingerprint), 20)


async def _another(box: Box, host: str, than: str) -> None:
    while True:
        lying = await box.look(host)
        if lying is not None and lying.fingerprint != than and CA in lying.issuer:
            return
        await asyncio.sleep(0.05)


async def test_a_name_that_leads_elsewhere_says_so_and_when_it_is_tried_again(
    box: Box, ca: Pebble
) -> None:
    ca.lead("c.test", "127.0.0.77")
    box.start()
    await box.want("c.test")

    failed = await box.reaches("c.test", Status.FAILED)

    assert failed.error_kind is ErrorKind.UNREACHABLE
    assert failed.next_attempt_at is not None
    assert failed.next_attempt_at - now() > timedelta(minutes=4)
    assert OWN in (await box.lies("c.test", OWN)).issuer
    ca.lead("c.test", "127.0.0.1")
    await box.database.run(lambda: store.change(failed.id, next_attempt_at=None))
    await box.lies("c.test", CA)


async def test_an_order_that_was_killed_goes_on_with_the_same_key(box: Box) -> None:
    box.start()
    await box.want("d.test")
    # As a kill -9 would leave it: the authority knows the order, and we know its address and key.
    while True:
        item = await box.certificate("d.test")
        if item is not None and item.has_order:
            break
        await asyncio.sleep(0.005)
    await box.stop()
    begun = await box.certificate("d.test")
    assert begun is not None
    assert begun.status is Status.ORDERING
    box.start()

    kept = await box.reaches("d.test", Status.VALID)

    events = await box.database.run(store.events_of, kept.id)
    assert [item.kind for item in events].count("ordered") == 1


async def test_an_account_that_was_revoked_is_followed_by_another(
    box: Box, ca: Pebble
) -> None:
    box.start()
    await box.want("e.test")
    await box.reaches("e.test", Status.VALID)
    first = await box.database.run(account_store.get, ca.directory_url)
    # An authority that lost its memory knows no account.
    await asyncio.to_thread(ca.stop)
    await asyncio.to_thread(ca.start)

    await box.want("e.test", "f.test")

    await box.reaches("f.test", Status.FAILED)
    account = await box.database.run(account_store.get, ca.directory_url)
    assert first is not None
    assert account is not None
    assert account[0].error_kind is ErrorKind.ACCOUNT
    assert account[1] != first[1]
    assert CA in (await box.lies("e.test", CA)).issuer
    await box.lies("f.test", CA)


async def test_what_nobody_wants_any_more_is_revoked_and_forgotten(box: Box) -> None:
    box.start()
    await box.want("g.test")
    await box.reaches("g.test", Status.VALID)

    await box.want()

    async with asyncio.timeout(20):
        while await box.certificate("g.test") is not None:
            await asyncio.sleep(0.05)


async def test_what_somebody_revoked_is_served_no_more_until_it_is_ordered_again(
    box: Box,
) -> None:
    box.start()
    await box.want("j.test")
    kept = await box.reaches("j.test", Status.VALID)
    first = await box.lies("j.test", CA)

    ended = {"status": Status.REVOKING.value, "renew_at": None}
    await box.database.run(lambda: store.change(kept.id, **ended))

    await box.reaches("j.test", Status.REVOKED)
    await box.lies("j.test", OWN)
    again = {"status": Status.WANTED.value, "renew_at": now()}
    await box.database.run(lambda: store.change(kept.id, **again))
    second = await box.lies("j.test", CA)
    assert second.fingerprint != first.fingerprint


async def test_without_an_account_the_own_authority_serves_and_it_says_why(
    box: Box, database: Database
) -> None:
    alone = await asyncio.to_thread(
        lambda: Box(database, box.settings.model_copy(update={"acme_email": None}))
    )
    alone.start()
    await alone.want("h.test")

    await alone.lies("h.test", OWN)

    async with asyncio.timeout(10):
        while "h.test" not in alone.told:
            await asyncio.sleep(0.05)
    assert alone.told["h.test"].state is State.WAITING
    assert "ACME_EMAIL is not set" in alone.told["h.test"].reason
    await alone.stop()


async def test_the_own_authority_of_a_box_that_was_brought_back_counts(
    box: Box, tmp_path: Path, database: Database
) -> None:
    box.start()
    await box.want("i.test", kind=Kind.OWN_CA)
    first = await box.lies("i.test", OWN)
    async with asyncio.timeout(10):
        while await database.run(store.own_ca) is None:
            await asyncio.sleep(0.05)
    await box.stop()

    elsewhere = await asyncio.to_thread(
        lambda: Box(
            database, box.settings.model_copy(update={"data_dir": tmp_path / "new"})
        )
    )
    elsewhere.start()
    await elsewhere.want("i.test", kind=Kind.OWN_CA)

    assert (await elsewhere.lies("i.test", first.issuer)).issuer == first.issuer
    await elsewhere.stop()
