"""Certificates through all that goes wrong: state and next attempt as the API tells them, and what was good served by Nginx.

The authority is the real pebble, which refuses every other nonce. What it cannot do stands in front of it or beside it, under
a name that says so: ``acme_front`` (rate limits, ARI) and ``dns_stand_in`` (RFC 2136).
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from acme import messages

from appliance.certificates import account_store
from appliance.certificates.acme_client import AcmeClient
from appliance.certificates.keys import account_purpose
from appliance.infra.sealing import Sealer
from tests.cluster import ThrowAwayCluster, throw_away_cluster
from tests.harness.acme_front import acme_front
from tests.harness.certified_box import HUB, CertifiedBox, Visitor
from tests.harness.dns_stand_in import KEY_NAME, KEY_SECRET, dns_stand_in
from tests.harness.pebble import Pebble, pebble
from tests.harness.ports import free_port
from tests.proofs.claim import hold

EAB: Final = {
    "kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
}
#: Seconds that certificates last where their end is waited for.
SHORT_S: Final = 20
_HOOK = """\
import json, sys, urllib.request
place, what, name, value = sys.argv[1:]
said = {"host": name + "."} | ({"value": value} if what == "add" else {})
door = "set-txt" if what == "add" else "clear-txt"
urllib.request.urlopen(place + "/" + door, data=json.dumps(said).encode()).read()
"""

Told = dict[str, Any]


@asynccontextmanager
async def box_at(
    cluster: ThrowAwayCluster, ca: Pebble, **settings: Any
) -> AsyncIterator[CertifiedBox]:
    """A box that orders at ``ca``, which looks at the door's port 80."""
    name = f"box_{os.urandom(4).hex()}"
    cluster.execute(f"CREATE DATABASE {name}")
    with tempfile.TemporaryDirectory(prefix="mcp-c-", dir="/var/tmp") as home:
        chosen = {
            "acme_directory_url": ca.directory_url,
            "acme_ca_file": str(ca.ca_file),
            "proxy_http_port": ca.http_port,
            **settings,
        }
        box = CertifiedBox(Path(home), cluster.url(name), **chosen)
        async with box:
            yield box


def valid(told: Told) -> bool:
    """Whether it is issued."""
    return bool(told["status"] == "valid")


def failed(kind: str) -> Callable[[Told], bool]:
    """Return what tells whether an order failed so."""
    return lambda told: told["status"] == "failed" and told["error_kind"] == kind


def wait_of(told: Told) -> timedelta:
    """Return how long the API says that it is waited."""
    return datetime.fromisoformat(told["next_attempt_at"]) - datetime.now(UTC)


async def served(box: CertifiedBox, name: str, told: Told) -> None:
    """Wait until visitors of ``name`` see what the API tells of."""
    async with asyncio.timeout(15):
        while await asyncio.to_thread(box.fingerprint, name) != told["fingerprint"]:
            await asyncio.sleep(0.05)


async def _ordinary(cluster: ThrowAwayCluster) -> None:
    port = free_port()
    with pebble(http_port=port) as ca:
        hook = ca.home / "hook.py"
        hook.write_text(_HOOK)
        argv = [sys.executable, str(hook), f"http://127.0.0.1:{ca.names_port}"]
        async with (
            acme_front(ca) as front,
            box_at(
                cluster,
                ca,
                acme_directory_url=front.directory_url,
                acme_dns_hook=json.dumps(argv),
            ) as box,
        ):
            began = time.monotonic()
            own = await asyncio.to_thread(box.shown, HUB)
            hold(
                own is not None and "own CA" in own.issuer.rfc4514_string(),
                f"from the first second: {own and own.issuer.rfc4514_string()}",
            )
            told = await box.comes(HUB, valid)
            await served(box, HUB, told)
            print(
                f"issued and served by Nginx {time.monotonic() - began:.1f} s after the start, by {told['issuer']}"
            )
            visitor = Visitor(box, HUB, ca.root())
            async with visitor.coming():
                for name, scene in _SCENES.items():
                    print(f"-- {name}")
                    await scene(box, ca, front)
            hold(
                not visitor.warned and visitor.visits > 50,
                f"{visitor.visits} visits of {HUB} meanwhile, {len(visitor.warned)} warned {visitor.warned[:2]}",
            )


async def _many_names(box: CertifiedBox, _ca: Pebble, _front: Any) -> None:
    names = [f"n{number}.test" for number in range(20)]
    await box.order(*names)
    told = await box.comes(names[0], valid)
    await served(box, names[-1], told)
    hold(set(told["names"]) == set(names), "20 names on one certificate")


async def _hook(box: CertifiedBox, _ca: Pebble, _front: Any) -> None:
    await box.order("*.wild.test", "wild.test")
    told = await box.comes("*.wild.test", valid)
    hold(
        "*.wild.test" in told["names"],
        "a wildcard by dns-01, its record set by a program",
    )


async def _renew(box: CertifiedBox, _ca: Pebble, _front: Any) -> None:
    before = await box.one(HUB)
    await asyncio.sleep(5)  # what was tried a moment ago is not tried again
    await box.renew(HUB)
    told = await box.comes(
        HUB, lambda told: valid(told) and told["serial"] != before["serial"]
    )
    await served(box, HUB, told)
    print("renewed on demand; Nginx shows the new one without a reload")


async def _wrong_dns(box: CertifiedBox, ca: Pebble, _front: Any) -> None:
    ca.lead("lost.test", "127.0.0.77")
    await box.order("lost.test")
    told = await box.comes("lost.test", failed("unreachable"))
    wait = wait_of(told)
    hold(
        timedelta(minutes=4) < wait < timedelta(minutes=6),
        f"wrong DNS: failed, tried again in {wait}",
    )
    ca.lead("lost.test", "127.0.0.1")
    await asyncio.sleep(5)
    await box.renew("lost.test")
    await box.comes("lost.test", valid)
    print("wrong DNS mended: issued")


async def _rate_limited(box: CertifiedBox, _ca: Pebble, front: Any) -> None:
    front.limited_s = 7200
    await box.order("limited.test")
    told = await box.comes("limited.test", failed("rate-limited"))
    wait = wait_of(told)
    asked = front.seen.count("/order-plz")
    await asyncio.sleep(2)
    hold(
        front.seen.count("/order-plz") == asked
        and timedelta(hours=1.9) < wait < timedelta(hours=2.3),
        f"rate limited: Retry-After 7200 is kept to, tried again in {wait}",
    )
    front.limited_s = None


async def _killed(box: CertifiedBox, _ca: Pebble, _front: Any) -> None:
    finished = 0
    for number in range(6):
        name = f"k{number}.test"
        await box.order(name)
        # Somewhere else in the order each time.
        await asyncio.sleep(0.05 + 0.07 * number)
        await asyncio.to_thread(box.stop_proxy, signal.SIGKILL)
        box.start_proxy()
        told = await box.comes(name, valid)
        kinds = [event["kind"] for event in told["events"]]
        finished += kinds.count("issued") == 1
        orders = kinds.count("ordered")
        hold(
            orders <= 2,
            f"kill -9 after {50 + 70 * number} ms: issued, ordered {orders} times",
        )
    hold(finished == 6, "each was issued once")


async def _revoked_account(box: CertifiedBox, ca: Pebble, front: Any) -> None:
    found = await box.database.run(account_store.get, front.directory_url)
    assert found is not None
    account, sealed = found
    sealer = Sealer(*box.door.settings.jwt_secrets)
    key = sealer.unseal(sealed, account_purpose(front.directory_url))
    client = AcmeClient(front.directory_url, key, uri=account.uri, ca_file=ca.ca_file)
    ended = messages.UpdateRegistration.from_json({"status": "deactivated"})

    def end() -> None:
        acme = client._acme()
        nonces = acme.directory["newNonce"]
        acme.net.post(account.uri, ended, new_nonce_url=nonces)

    await asyncio.to_thread(end)
    await box.order("after.test")
    await box.comes("after.test", failed("account"), 20)
    await box.comes("after.test", valid)
    again = await box.database.run(account_store.get, front.directory_url)
    hold(
        again is not None and again[0].uri != account.uri,
        "revoked account: a new one was made, and it issued",
    )


async def _window(box: CertifiedBox, _ca: Pebble, front: Any) -> None:
    start = datetime.now(UTC) + timedelta(days=3)
    front.window = (start, start + timedelta(days=1))
    await box.order("window.test")

    def chosen(told: Told) -> bool:
        when = told.get("renew_at") and datetime.fromisoformat(told["renew_at"])
        return bool(when and front.window[0] <= when <= front.window[1])

    told = await box.comes("window.test", chosen)
    print(f"renewed within the authority's window (ARI): {told['renew_at']}")
    front.window = None


async def _ca_down(box: CertifiedBox, ca: Pebble, _front: Any) -> None:
    await asyncio.to_thread(ca.stop)
    await box.order("down.test")
    told = await box.comes("down.test", failed("ca-down"))
    wait = wait_of(told)
    listed = await (await box.api.get("/api/certificates")).json()
    until = listed["authority"]["next_attempt_at"]
    hold(
        until is not None and wait < timedelta(minutes=3),
        f"CA down: failed, all orders wait, tried again in {wait}",
    )
    # It comes back and remembers nobody.
    await asyncio.to_thread(ca.start)
    await asyncio.sleep(5)
    await box.renew("down.test")
    await box.comes("down.test", failed("account"))
    await box.comes("down.test", valid)
    print("CA back without its memory: a new account, issued")


async def _revoke(box: CertifiedBox, _ca: Pebble, _front: Any) -> None:
    number = (await box.one("window.test"))["id"]
    await box.api.delete(f"/api/certificates/{number}")
    await box.comes("window.test", lambda told: told["status"] == "none")
    print("removed: revoked at the authority and forgotten")


_SCENES: Final[dict[str, Callable[[CertifiedBox, Pebble, Any], Awaitable[None]]]] = {
    "many names": _many_names,
    "dns-01 by a program": _hook,
    "renewal": _renew,
    "wrong DNS": _wrong_dns,
    "rate limited": _rate_limited,
    "killed in mid-order": _killed,
    "renewal window": _window,
    "revoked account": _revoked_account,
    "removal": _revoke,
    "CA down": _ca_down,
}


async def _short_lives(cluster: ThrowAwayCluster) -> None:
    print(f"-- lives of {SHORT_S} s")
    port = free_port()
    with pebble(http_port=port, valid_s=SHORT_S) as ca:
        async with box_at(cluster, ca) as box:
            first = await box.comes(HUB, valid)
            await served(box, HUB, first)
            visitor = Visitor(box, HUB, ca.root())
            async with visitor.coming():
                second = await box.comes(
                    HUB, lambda told: valid(told) and told["serial"] != first["serial"]
                )
                await served(box, HUB, second)
            age = datetime.fromisoformat(second["not_before"]) - datetime.fromisoformat(
                first["not_before"]
            )
            hold(
                age < timedelta(seconds=SHORT_S * 0.9) and not visitor.warned,
                f"renewed by itself after {age} of {SHORT_S} s; {visitor.visits} visits, {len(visitor.warned)} warned",
            )
            await asyncio.to_thread(box.stop_proxy)
            await asyncio.sleep(SHORT_S + 1)
            began = time.monotonic()
            box.start_proxy()
            third = await box.comes(
                HUB, lambda told: valid(told) and told["serial"] != second["serial"]
            )
            await served(box, HUB, third)
            print(
                f"expired while the controller was off: a new one served {time.monotonic() - began:.1f} s after its start"
            )


async def _external_account(cluster: ThrowAwayCluster) -> None:
    print("-- external account (EAB)")
    (key_id, hmac_key), port = next(iter(EAB.items())), free_port()
    with pebble(http_port=port, external_accounts=EAB) as ca:
        async with box_at(cluster, ca) as box:
            told = await box.comes(HUB, failed("account-refused"))
            hold(
                "ACME_EAB_KEY_ID" in told["error"],
                f"without it: {told['error_kind']}, tried again in {wait_of(told)}",
            )
            await asyncio.to_thread(box.stop_proxy)
            box.start_proxy(ACME_EAB_KEY_ID=key_id, ACME_EAB_HMAC_KEY=hmac_key)
            await asyncio.sleep(5)
            await box.renew(HUB)
            await box.comes(HUB, valid)
            print("with it: issued")


async def _updates(cluster: ThrowAwayCluster) -> None:
    print("-- dns-01 by RFC 2136")
    port = free_port()
    async with dns_stand_in("zone.test.") as server:
        with pebble(http_port=port, dns_server=server.address) as ca:
            words = {
                "acme_dns_server": server.address,
                "acme_dns_key_name": KEY_NAME,
                "acme_dns_key_secret": "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3I=",
            }
            async with box_at(cluster, ca, **words) as box:
                await box.order("*.zone.test")
                told = await box.comes("*.zone.test", failed("dns-update"))
                hold(
                    server.taken == 0,
                    f"a wrong key: {told['error_kind']}, tried again in {wait_of(told)}",
                )
                await asyncio.to_thread(box.stop_proxy)
                box.start_proxy(ACME_DNS_KEY_SECRET=KEY_SECRET)
                await asyncio.sleep(5)
                await box.renew("*.zone.test")
                await box.comes("*.zone.test", valid)
                left = sum(map(len, server.records.values()))
                hold(
                    server.taken >= 2 and left == 0,
                    f"a wildcard by signed updates: {server.taken} taken, {left} records left behind",
                )


async def _all() -> None:
    with throw_away_cluster() as cluster:
        for part in (_ordinary, _short_lives, _external_account, _updates):
            await part(cluster)


def prove() -> None:
    """Run every scene.

    Raises:
        ClaimBrokenError: One of them came out otherwise.
    """
    asyncio.run(_all())
