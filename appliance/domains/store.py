"""Queries about domains; every function runs inside ``database.run``."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import peewee

from appliance.accounts.access import Sight
from appliance.accounts.sights import shown_in_words
from appliance.core.clock import now
from appliance.domains.errors import DomainTakenError
from appliance.domains.model import (
    WILDCARD,
    CertificateKind,
    Domain,
    Held,
    Proof,
    Status,
    TxtBecause,
)
from appliance.domains.names import wildcard_over
from appliance.domains.tables import DomainRow, ReleasedDomainRow
from appliance.infra.database import proxy
from appliance.observability.events import publish_in_transaction

#: What pages follow.
CHANGED = "domain.changed"
#: Whoever looks at a domain has so long for it before another may.
LEASE = timedelta(minutes=2)
_SELECT = """
SELECT d.id, d.server_id, s.name, d.host, d.redirect_to, d.challenge, d.txt_because, d.verified_by, d.verified_at,
       d.certificate_kind, d.certificate_id, d.status, d.reason, d.found, d.checks, d.checked_at, d.next_check_at,
       d.away_since, d.told_at, d.created_by, d.created_at, COALESCE(-s.org_id, s.owner_id),
       c.issuer, c.not_after, c.renew_at, c.next_attempt_at
FROM domains d JOIN servers s ON s.id = d.server_id LEFT JOIN certificates c ON c.id = d.certificate_id
"""


_LEASE = """
UPDATE domains SET next_check_at = %s WHERE id IN (
    SELECT id FROM domains WHERE next_check_at <= %s ORDER BY next_check_at LIMIT %s FOR UPDATE SKIP LOCKED
) RETURNING id
"""
_FIRST = """
SELECT DISTINCT ON (server_name) server_name, host FROM gateway_domains
WHERE server_name = ANY(%s) AND is_active AND redirect_to IS NULL AND host NOT LIKE '*%%'
ORDER BY server_name, domain_id
"""
_SHOWN = """
SELECT id FROM (
    SELECT d.id, d.server_id, s.owner_id, s.org_id FROM domains d JOIN servers s ON s.id = d.server_id
) AS shown WHERE
"""


def _domain(row: tuple[Any, ...]) -> Domain:
    (number, server_id, server_name, host, redirect_to, challenge, because, by, at, kind, *rest) = row  # fmt: skip
    (certificate_id, status, reason, found, checks, checked_at, next_at, *last) = rest
    away, told, creator, made, owner, *held = last
    return Domain(
        id=number,
        server_id=server_id,
        server_name=server_name,
        host=host,
        redirect_to=redirect_to,
        challenge=challenge,
        txt_because=TxtBecause(because),
        verified_by=Proof(by) if by else None,
        verified_at=at,
        certificate_kind=CertificateKind(kind),
        certificate_id=certificate_id,
        certificate=Held(*held) if held[0] is not None else None,
        status=Status(status),
        reason=reason,
        found=found,
        checks=checks,
        checked_at=checked_at,
        next_check_at=next_at,
        away_since=away,
        told_at=told,
        created_by=creator,
        created_at=made,
        owner=owner,
    )


def _select(words: str, *values: Any) -> list[Domain]:
    rows = proxy.execute_sql(f"{_SELECT} {words}", values).fetchall()
    return [_domain(row) for row in rows]


# -- reading


def of_server(server_id: int) -> list[Domain]:
    """Return a server's domains, oldest first."""
    return _select("WHERE d.server_id = %s ORDER BY d.id", server_id)


def find(domain_id: int, *, locked: bool = False) -> Domain | None:
    """Return a domain; ``locked``: nobody else changes it until this transaction ends."""
    words = "WHERE d.id = %s" + (" FOR UPDATE OF d" if locked else "")
    return next(iter(_select(words, domain_id)), None)


def verified(host: str) -> Domain | None:
    """Return the domain that is served under a name."""
    return next(iter(_select("WHERE d.host = %s AND d.verified_at IS NOT NULL", host)), None)  # fmt: skip


def all_verified() -> list[Domain]:
    """Return every domain that is served, oldest first."""
    return _select("WHERE d.verified_at IS NOT NULL ORDER BY d.id")


def seen(sight: Sight, *, limit: int, after: int = 0) -> list[Domain]:
    """Return domains that somebody may see, oldest first, beginning after a number."""
    conditions, values = shown_in_words(sight)
    inner = " AND ".join([f"({item})" for item in conditions] + ["id > %s"])
    query = f"{_SHOWN} {inner} ORDER BY id LIMIT %s"
    found = proxy.execute_sql(query, (*values, after, limit)).fetchall()
    return _select("WHERE d.id = ANY(%s) ORDER BY d.id", [row[0] for row in found])


def first_names(servers: Iterable[str]) -> dict[str, str]:
    """Return by server the name that it is told to be reached under: its first that is active and leads nowhere else."""
    rows = proxy.execute_sql(_FIRST, (list(servers),)).fetchall()
    return dict(rows)


def txt_because(host: str, owner: int) -> TxtBecause:
    """Return why an address would not show that a name is somebody's."""
    if host.startswith(WILDCARD):
        return TxtBecause.WILDCARD
    row = ReleasedDomainRow.get_or_none(ReleasedDomainRow.host == host)
    if row is not None and row.owner_id != owner:
        return TxtBecause.RELEASED
    over = wildcard_over(host)
    above = verified(over) if over else None
    if above is not None and above.owner != owner:
        return TxtBecause.COVERED
    return TxtBecause.NONE


# -- writing


def add(
    server_id: int, host: str, *, challenge: str, because: TxtBecause, created_by: str
) -> Domain:
    """Insert a claim, to be looked at at once."""
    row = DomainRow.create(
        server_id=server_id,
        host=host,
        challenge=challenge,
        txt_because=because.value,
        certificate_kind=CertificateKind.ACME.value,
        status=Status.PENDING.value,
        reason="",
        found="",
        checks=0,
        next_check_at=now(),
        created_by=created_by,
        created_at=now(),
    )
    return _told(row.id)


def change(domain_id: int, **values: Any) -> Domain:
    """Write what became of a domain, and tell the pages that show it."""
    DomainRow.update(values).where(DomainRow.id == domain_id).execute()
    return _told(domain_id)


def verify(domain: Domain, proof: Proof, **values: Any) -> Domain:
    """Have a name served, which others who claim it are told.

    Raises:
        DomainTakenError: Somebody else was first.
    """
    taken = DomainTakenError(f"{domain.host} is used by another server of this box.")
    if verified(domain.host) is not None:
        raise taken
    changed = {"verified_by": proof.value, "verified_at": now(), "status": Status.ISSUING.value}  # fmt: skip
    try:
        with proxy.atomic():
            found = change(domain.id, **changed | values)
    except peewee.IntegrityError as error:
        raise taken from error
    ReleasedDomainRow.delete().where(ReleasedDomainRow.host == domain.host).execute()
    others = _select("WHERE d.host = %s AND d.verified_at IS NULL", domain.host)
    for other in others:
        change(other.id, status=Status.ERROR.value, reason=taken.detail, next_check_at=None)  # fmt: skip
    return found


def remove(domain: Domain) -> None:
    """Remove a domain; that it was given up is kept by a trigger."""
    DomainRow.delete().where(DomainRow.id == domain.id).execute()
    publish_in_transaction(CHANGED, domain.server_id, {"host": domain.host})


def _told(domain_id: int) -> Domain:
    found = find(domain_id)
    if found is None:
        raise LookupError(f"There is no domain {domain_id}.")
    data = {"host": found.host, "status": found.status.value}
    publish_in_transaction(CHANGED, found.server_id, data)
    return found


# -- what is due


def lease(at: datetime, *, limit: int) -> list[Domain]:
    """Return domains that are to be looked at, and let nobody else do that for a while."""
    leased = proxy.execute_sql(_LEASE, (at + LEASE, at, limit)).fetchall()
    ids = [row[0] for row in leased]
    found = _select("WHERE d.id = ANY(%s) ORDER BY d.id", ids) if ids else []
    return [_as_it_counts_now(item) for item in found]


def _as_it_counts_now(domain: Domain) -> Domain:
    """Return a domain with what its owner has to show today: others may have come or gone since it was claimed."""
    because = txt_because(domain.host, domain.owner)
    if domain.is_verified or because is domain.txt_because:
        return domain
    return change(domain.id, txt_because=because.value)


def next_due() -> datetime | None:
    """Return when the next domain is to be looked at; ``None``: never."""
    found: datetime | None = DomainRow.select(
        peewee.fn.MIN(DomainRow.next_check_at)
    ).scalar()
    return found
