"""What is to be done for a certificate now: facts in, one step out. Pure.

The facts are kept in Postgres, so a box that was off, or killed in the middle of an order, asks the same question and gets
the same answer. No answer leads to an order in a loop: what fails waits longer each time, what succeeds waits for its
renewal, and both are counted against what authorities allow in a week.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from appliance.certificates.model import ErrorKind, Kind, Status

#: The part of its life after which a certificate is renewed.
RENEW_AFTER = 2 / 3
#: Renewals are spread over this part of a life, so that not all of a box, and of a country, come at once.
SPREAD = 1 / 30
#: Certificates for the same names within a week; Let's Encrypt issues five.
ISSUED_A_WEEK = 5
WEEK = timedelta(days=7)
#: Orders for the same names within an hour, whoever asks for them; Let's Encrypt lets five fail.
ORDERS_AN_HOUR = 5
HOUR = timedelta(hours=1)
#: How far clocks may differ from each other without anything being wrong.
CLOCK_SLACK = timedelta(minutes=5)
#: How often the authority is asked when it wants a renewal.
WINDOW_EVERY = timedelta(hours=6)
#: The last part of a life, in which somebody should look: half a day of six, seven of ninety.
LAST_PART = 1 / 12


@dataclass(frozen=True)
class Patience:
    """How long to wait after attempts that failed for one reason."""

    first: timedelta
    longest: timedelta
    #: Each is so many times as long as the one before.
    factor: int = 2


#: The first is short where somebody may have mended it by then. Let's Encrypt allows five failed validations of a name an
#: hour: 5 + 10 + 20 + 40 minutes keep below.
PATIENCE: dict[ErrorKind, Patience] = {
    ErrorKind.NONCE: Patience(timedelta(seconds=2), timedelta(minutes=10)),
    ErrorKind.CA_DOWN: Patience(timedelta(minutes=1), timedelta(hours=1)),
    ErrorKind.RATE_LIMITED: Patience(timedelta(hours=1), timedelta(hours=24)),
    ErrorKind.DNS: Patience(timedelta(minutes=5), timedelta(hours=12)),
    ErrorKind.UNREACHABLE: Patience(timedelta(minutes=5), timedelta(hours=12)),
    ErrorKind.UNAUTHORIZED: Patience(timedelta(minutes=5), timedelta(hours=12)),
    ErrorKind.CAA: Patience(timedelta(hours=1), timedelta(hours=24)),
    ErrorKind.REJECTED: Patience(timedelta(hours=6), timedelta(hours=24)),
    # A new account mends it, or nothing does; authorities count accounts, too.
    ErrorKind.ACCOUNT: Patience(timedelta(seconds=1), timedelta(hours=24), 60),
    ErrorKind.ACCOUNT_REFUSED: Patience(timedelta(hours=1), timedelta(hours=24)),
    ErrorKind.DNS_UPDATE: Patience(timedelta(minutes=5), timedelta(hours=6)),
    ErrorKind.WRONG: Patience(timedelta(hours=1), timedelta(hours=24)),
    ErrorKind.SETTINGS: Patience(timedelta(hours=1), timedelta(hours=24)),
}
#: What an authority may ask for at most; beyond, it is asked again to be sure.
LONGEST_WAIT = timedelta(days=8)


@dataclass(frozen=True)
class Facts:
    """All that the next step depends on."""

    kind: Kind
    status: Status
    #: Something serves it, or somebody ordered it.
    is_wanted: bool
    not_before: datetime | None = None
    not_after: datetime | None = None
    renew_at: datetime | None = None
    attempts: int = 0
    attempted_at: datetime | None = None
    next_attempt_at: datetime | None = None
    #: When it was ordered and when it was issued, within the last week.
    orders: tuple[datetime, ...] = ()
    issued: tuple[datetime, ...] = ()
    #: Whether the order that is under way can go on where it stopped.
    has_order: bool = False
    #: Until when the authority as a whole is left alone.
    authority_until: datetime | None = None
    #: Why nothing can be ordered; empty: it can.
    obstacle: str = ""
    #: It was issued by another authority than the one that is set, or covers other names than are wanted.
    is_outdated: bool = False
    #: Somebody wanted it revoked, although it is wanted.
    is_revoked_by_hand: bool = False


@dataclass(frozen=True)
class Order:
    """Order it, or go on with the order that is under way."""

    reason: str


@dataclass(frozen=True)
class Revoke:
    """Tell the authority that it counts no more."""


@dataclass(frozen=True)
class Wait:
    """Nothing now; look again then. ``None``: until something changes."""

    until: datetime | None
    why: str


@dataclass(frozen=True)
class Forget:
    """Nobody wants it, and nothing is left to tell anybody."""


Step = Order | Revoke | Wait | Forget


def step(facts: Facts, now: datetime) -> Step:
    """Return what is to be done for a certificate at ``now``."""
    is_revoked = facts.status is Status.REVOKED
    if is_revoked and not facts.is_wanted:
        return Forget()
    if is_revoked and facts.is_revoked_by_hand:
        return Wait(None, "It was revoked.")
    if not facts.is_wanted or facts.status is Status.REVOKING:
        return _end(facts, now)
    if facts.kind is not Kind.ACME:
        return Wait(facts.not_after, "It was brought, and is renewed by whoever did.")
    due, why = _due(facts, now)
    if due > now:
        return Wait(due, why)
    return _order(facts, now, why)


def _end(facts: Facts, now: datetime) -> Step:
    is_over = facts.not_after is None or facts.not_after <= now
    if facts.kind is not Kind.ACME or is_over:
        return Forget()
    until = _latest(facts.next_attempt_at, facts.authority_until)
    if until is not None and until > now:
        return Wait(until, "It will be revoked.")
    return Revoke()


def _due(facts: Facts, now: datetime) -> tuple[datetime, str]:
    """Return when the certificate is wanted anew, and why."""
    if facts.not_after is None:
        return now, "There is none yet."
    if facts.is_outdated:
        return now, "What there is, is for other names or of another authority."
    if facts.not_after <= now:
        return now, "It has expired."
    when = facts.renew_at or facts.not_after
    return when, "It is renewed before its end."


def _order(facts: Facts, now: datetime, why: str) -> Step:
    if facts.obstacle:
        return Wait(None, facts.obstacle)
    held = _latest(facts.next_attempt_at, facts.authority_until)
    if held is not None and held > now:
        return Wait(held, "The last attempt failed.")
    # Going on with an order that was begun costs the authority nothing.
    if facts.status is Status.ORDERING and facts.has_order:
        return Order("It was interrupted.")
    again = _latest(
        within_budget(facts.issued, now, most=ISSUED_A_WEEK, span=WEEK),
        within_budget(facts.orders, now, most=ORDERS_AN_HOUR, span=HOUR),
    )
    if again is not None:
        return Wait(again, "It was ordered as often as authorities allow.")
    return Order(why)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((item for item in moments if item is not None), default=None)


def fraction(seed: str) -> float:
    """Return a number from 0 up to 1 that is always the same for ``seed``, and as good as random between seeds."""
    digest = hashlib.sha256(seed.encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def renewal(not_before: datetime, not_after: datetime, seed: str) -> datetime:
    """Return when a certificate is renewed whose authority does not say: after two thirds of its life, or a little earlier."""
    life = not_after - not_before
    return not_before + life * (RENEW_AFTER - SPREAD * fraction(seed))


def renewal_in(
    start: datetime, end: datetime, not_after: datetime, seed: str
) -> datetime:
    """Return when a certificate is renewed whose authority wants it between ``start`` and ``end`` (RFC 9773).

    A window that lies beyond the certificate's end is not followed further than just before it.
    """
    chosen = start + max(end - start, timedelta(0)) * fraction(seed)
    return min(chosen, not_after - timedelta(hours=1))


def failed_again(attempts: int, before: ErrorKind | None, kind: ErrorKind) -> int:
    """Return how often in a row it has failed for the same reason, this one with it: another reason may pass sooner.

    >>> failed_again(7, ErrorKind.DNS, ErrorKind.DNS), failed_again(7, ErrorKind.DNS, ErrorKind.CA_DOWN)
    (8, 1)
    """
    return attempts + 1 if before is kind else 1


def backoff(
    kind: ErrorKind, attempts: int, retry_after: timedelta | None, seed: str
) -> timedelta:
    """Return how long to wait after the attempt number ``attempts`` in a row failed; at least what the authority asked for.

    Args:
        attempts: At least 1.
        seed: Spreads those that failed together, by up to a tenth.
    """
    patience = PATIENCE[kind]
    seconds = patience.first.total_seconds() * float(patience.factor) ** min(
        attempts - 1, 100
    )
    wait = timedelta(seconds=min(seconds, patience.longest.total_seconds()))
    if retry_after is not None:
        wait = min(max(retry_after, patience.first), LONGEST_WAIT)
    return wait * (1 + fraction(f"{seed}/{attempts}") / 10)


def mended(facts: Facts, now: datetime) -> Facts:
    """Return ``facts`` with times that cannot be, because the clock was set back since, brought to what they would be now.

    A box whose clock was years ahead for a minute must not wait for years.
    """
    latest = now + CLOCK_SLACK
    found = replace(
        facts,
        orders=tuple(min(at, now) for at in facts.orders),
        issued=tuple(min(at, now) for at in facts.issued),
    )
    if facts.attempted_at is None or facts.attempted_at <= latest:
        return found
    ahead = facts.attempted_at - now
    next_at = facts.next_attempt_at
    return replace(
        found,
        attempted_at=now,
        next_attempt_at=None if next_at is None else next_at - ahead,
    )


def is_misfit(not_before: datetime, not_after: datetime, now: datetime) -> bool:
    """Return whether a certificate that was issued this moment does not count by our clock: then the clock is wrong."""
    return not_after <= now or not_before > now + timedelta(hours=2)


def within_budget(
    times: Sequence[datetime], now: datetime, *, most: int, span: timedelta
) -> datetime | None:
    """Return when one more is allowed if there may be ``most`` in any ``span``; ``None``: now."""
    recent = sorted(at for at in times if at > now - span)
    return None if len(recent) < most else recent[-most] + span


def is_near_end(not_before: datetime, not_after: datetime, now: datetime) -> bool:
    """Return whether a certificate is in the last part of its life, in which it should have been renewed long ago."""
    return now >= not_after - (not_after - not_before) * LAST_PART
