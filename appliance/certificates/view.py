"""What is wanted and what there is, read in one moment, and what follows from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.certificates import account_store, lifecycle, store
from appliance.certificates.lifecycle import Facts, Order, Step, Wait
from appliance.certificates.model import Account, Certificate, Kind, Wish
from appliance.certificates.plan import (
    Box,
    Times,
    base_wishes,
    facts_of,
    is_wanted,
    missing,
)
from appliance.core.clock import now
from appliance.core.front_door import is_host_name, is_wildcard

#: Orders that an authority takes from one account: Let's Encrypt's 300 in three hours, and some room.
ORDERS_AT_MOST = 250
ORDERS_WITHIN = timedelta(hours=3)


@dataclass(frozen=True)
class View:
    """What was read."""

    wishes: tuple[Wish, ...]
    certificates: tuple[Certificate, ...]
    #: When each was ordered and issued, within a week.
    times: Mapping[int, Times]
    account: Account | None

    @property
    def hosts(self) -> frozenset[str]:
        """Those for which an authority is to issue."""
        return frozenset(wish.host for wish in self.wishes if wish.kind is Kind.ACME)


@dataclass(frozen=True)
class Planned:
    """What is to be done for one certificate."""

    certificate: Certificate
    step: Step
    #: Its facts, where they had to be brought to a clock that was set back.
    mended: Facts | None


def is_box(item: Certificate, box: Box) -> bool:
    """Return whether it is the one of the box's own names."""
    return item.is_box and bool(set(item.names) & set(box.names))


def read(box: Box, wanted: Callable[[], list[Wish]]) -> View:
    """Read everything, and write down what is wished for and was not known; runs inside ``database.run``."""
    at = now()
    store.bring_back_to(at, lifecycle.CLOCK_SLACK)
    servers = store.server_names() if box.base_domain else []
    wishes = wanted() + base_wishes(box, servers)
    certificates = store.all_certificates()
    if _add_missing(box, wishes, certificates):
        certificates = store.all_certificates()
    wishes += _of_asked(wishes, certificates)
    times = store.times_of(("ordered", "issued"), at - lifecycle.WEEK)
    found = account_store.get(box.directory_url)
    account = _mended(found[0], at) if found else None
    return View(tuple(wishes), tuple(certificates), times, account)


def _add_missing(box: Box, wishes: list[Wish], certificates: list[Certificate]) -> bool:
    fresh = missing(wishes, certificates)
    for wish in fresh:
        store.add([wish.host], Kind.ACME, is_box=wish.is_box)
    if box.names and not any(is_box(item, box) for item in certificates):
        store.add(box.names, Kind.ACME, is_box=True)
        return True
    return bool(fresh)


def _of_asked(wishes: list[Wish], certificates: list[Certificate]) -> list[Wish]:
    """Return the names that are served because somebody ordered or brought a certificate for them."""
    known = {wish.host for wish in wishes}
    return [
        Wish(name, item.kind, item.id)
        for item in certificates
        if item.is_asked
        for name in item.names
        if name not in known and (is_host_name(name) or is_wildcard(name))
    ]


def _mended(account: Account, at: datetime) -> Account:
    """Return the account; what it waits for was decided by a clock that may have been set back since."""
    attempted = account.attempted_at
    if attempted is None or attempted <= at + lifecycle.CLOCK_SLACK:
        return account
    account_store.change(account.directory_url, attempted_at=at, next_attempt_at=None)
    found = account_store.get(account.directory_url)
    return found[0] if found else account


def plan(view: View, box: Box, at: datetime) -> list[Planned]:
    """Return the next step of every certificate. Pure."""
    hosts = view.hosts
    orders = [when for one in view.times.values() for when in one.get("ordered", ())]
    full = lifecycle.within_budget(orders, at, most=ORDERS_AT_MOST, span=ORDERS_WITHIN)
    found = []
    for item in view.certificates:
        facts = facts_of(
            item,
            view.times.get(item.id, {}),
            view.account,
            wanted=is_wanted(item, hosts, box),
            box=box,
            now=at,
        )
        mended = lifecycle.mended(facts, at)
        step = lifecycle.step(mended, at)
        if isinstance(step, Order) and not mended.has_order and full is not None:
            step = Wait(full, "Many others were ordered just now.")
        is_mended = mended.attempted_at != facts.attempted_at
        found.append(Planned(item, step, mended if is_mended else None))
    return found
