"""Which certificates there shall be, and which of them is served for a name. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.certificates.challenges import Ways
from appliance.certificates.lifecycle import Facts
from appliance.certificates.model import (
    MEANING,
    Account,
    Certificate,
    Kind,
    Standing,
    State,
    Status,
    Wish,
    covers,
)

#: What no public authority knows.
_PRIVATE_ENDS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".invalid")
#: What must not be served any more.
ENDED = frozenset({Status.REVOKING, Status.REVOKED})

Times = Mapping[str, tuple[datetime, ...]]


@dataclass(frozen=True)
class Box:
    """What the settings say about orders."""

    #: Names of the box itself that are on one certificate; empty: it has none that others know.
    names: tuple[str, ...]
    base_domain: str | None
    directory_url: str
    is_staging: bool
    staging_url: str
    #: Whether somebody agreed to an authority's terms.
    can_order: bool
    ways: Ways


def is_public(name: str) -> bool:
    """Return whether an authority may know ``name``."""
    return "." in name and not name.endswith(_PRIVATE_ENDS)


def base_wishes(box: Box, servers: Sequence[str]) -> list[Wish]:
    """Return what is wished for below BASE_DOMAIN: one wildcard where that can be had, else each server's name."""
    base = box.base_domain
    if base is None:
        return []
    if not box.can_order or box.ways.can_set_records:
        return [Wish(f"*.{base}", is_box=True)]
    return [Wish(f"{name}.{base}", is_box=True) for name in servers]


def missing(wishes: Sequence[Wish], certificates: Sequence[Certificate]) -> list[Wish]:
    """Return the wishes for which there is no row yet."""
    there = _by_name([item for item in certificates if item.kind is Kind.ACME])
    return [
        wish
        for wish in wishes
        if wish.kind is Kind.ACME and not _found(there, wish.host)
    ]


def _by_name(certificates: Sequence[Certificate]) -> dict[str, list[Certificate]]:
    found: dict[str, list[Certificate]] = {}
    for item in certificates:
        for name in item.names:
            found.setdefault(name, []).append(item)
    return found


def _found(there: Mapping[str, list[Certificate]], host: str) -> list[Certificate]:
    wild = f"*.{host.partition('.')[2]}"
    return [*there.get(host, ()), *there.get(wild, ())]


class Index:
    """Finds what is good for a name among thousands."""

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        """Sort them."""
        self._there = _by_name(certificates)
        self.by_fingerprint = {
            item.fingerprint: item for item in certificates if item.fingerprint
        }

    def of(self, host: str) -> list[Certificate]:
        """Return those whose names cover ``host``."""
        return _found(self._there, host)

    def served(self, wish: Wish, now: datetime) -> Certificate | None:
        """Return what is served for ``wish``; ``None``: our own authority's.

        What somebody chose comes first, then what is of the wished kind, then what lasts longest.
        """
        good = [item for item in self.of(wish.host) if is_good(item, now)]
        if wish.kind is Kind.OWN_CA:
            good = [item for item in good if item.id == wish.certificate_id]

        def rank(item: Certificate) -> tuple[bool, bool, datetime]:
            is_chosen = item.id == wish.certificate_id
            return is_chosen, item.kind is wish.kind, item.not_after or now

        return max(good, key=rank, default=None)


def is_good(certificate: Certificate, now: datetime) -> bool:
    """Return whether clients take it now."""
    return (
        certificate.is_issued
        and certificate.not_after is not None
        and certificate.not_after > now
        and certificate.status not in ENDED
    )


def is_wanted(certificate: Certificate, hosts: Collection[str], box: Box) -> bool:
    """Return whether anything is served with it, or somebody asked for it.

    Args:
        hosts: Those of the wishes that an authority is to fulfil.
    """
    if certificate.is_asked or certificate.kind is Kind.UPLOADED:
        return True
    if certificate.is_box and set(certificate.names) & set(box.names):
        return True
    return any(name in hosts for name in certificate.names) or any(
        name.startswith("*.") and covers((name,), host)
        for name in certificate.names
        for host in hosts
    )


def names_to_order(
    certificate: Certificate, hosts: Collection[str], box: Box
) -> tuple[str, ...]:
    """Return the names of its next order: those that are gone would fail the others."""
    if certificate.is_box and set(certificate.names) & set(box.names):
        return box.names
    left = tuple(name for name in certificate.names if name in hosts)
    return left or certificate.names


def obstacle(certificate: Certificate, box: Box, now: datetime) -> str:
    """Return why it cannot be ordered; empty: it can."""
    if not box.can_order:
        return "ACME_EMAIL is not set, so nothing is ordered; the box's own CA serves."
    is_real = certificate.directory_url not in {"", box.staging_url}
    if box.is_staging and is_real and is_good(certificate, now):
        return "ACME_STAGING is on, and what is good is not exchanged for a trial."
    return box.ways.obstacle(certificate.names)


def facts_of(
    certificate: Certificate,
    times: Times,
    account: Account | None,
    *,
    wanted: bool,
    box: Box,
    now: datetime,
) -> Facts:
    """Return what the next step of a certificate depends on."""
    is_trial = certificate.directory_url == box.staging_url and not box.is_staging
    return Facts(
        kind=certificate.kind,
        status=certificate.status,
        is_wanted=wanted,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        renew_at=certificate.renew_at,
        attempts=certificate.attempts,
        attempted_at=certificate.attempted_at,
        next_attempt_at=certificate.next_attempt_at,
        orders=times.get("ordered", ()),
        issued=times.get("issued", ()),
        has_order=certificate.has_order,
        authority_until=account.next_attempt_at if account else None,
        obstacle=obstacle(certificate, box, now),
        is_outdated=certificate.is_issued and is_trial,
        # Whoever revokes by hand takes the renewal away; one that nobody wanted for a while kept its own.
        is_revoked_by_hand=certificate.renew_at is None,
    )


def standing(
    wish: Wish, served: Certificate | None, ordered: Certificate | None, why: str
) -> Standing:
    """Return how a wish stands.

    Args:
        served: What its visitors see; ``None``: our own authority's.
        ordered: What is to come.
        why: What the step of ``ordered`` waits for.
    """
    if wish.kind is Kind.OWN_CA:
        return Standing(State.VALID, "")
    shown = ordered or served
    found = served or ordered
    number = found.id if found else None
    until = shown.next_attempt_at if shown else None
    trouble = ""
    if shown and shown.status is Status.FAILED:
        trouble = shown.error or (MEANING[shown.error_kind] if shown.error_kind else "")
    if served is not None:
        return Standing(State.VALID, trouble, number, until)
    if trouble:
        return Standing(State.FAILED, trouble, number, until)
    if shown is not None and shown.status is Status.ORDERING:
        return Standing(State.ISSUING, "The certificate is ordered.", number, until)
    if wish.kind is Kind.UPLOADED:
        why = "No certificate was uploaded that is good for this name; the box's own CA serves."
    return Standing(State.WAITING, why, number, until)
