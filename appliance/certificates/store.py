"""Queries about certificates. Every function runs inside ``database.run``."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from appliance.certificates.errors import CertificateNotFoundError
from appliance.certificates.lifecycle import failed_again
from appliance.certificates.model import (
    Certificate,
    ErrorKind,
    Event,
    Issued,
    Kind,
    Status,
)
from appliance.certificates.tables import CertificateRow, EventRow, OwnCaRow
from appliance.core.clock import now
from appliance.infra.database import proxy as database

#: How much of what happened is kept of each.
KEEP_EVENTS = 100
#: Of texts that others wrote.
MAX_TEXT = 1000


_Row = CertificateRow
#: Chains and keys are read where they are needed: there may be thousands.
_SHORT = (
    _Row.id, _Row.names, _Row.kind, _Row.status, _Row.is_box, _Row.is_asked, _Row.issuer, _Row.serial, _Row.fingerprint,
    _Row.not_before, _Row.not_after, _Row.renew_at, _Row.window_check_at, _Row.attempts, _Row.attempted_at,
    _Row.next_attempt_at, _Row.error_kind, _Row.error, _Row.directory_url, _Row.order_url, _Row.next_key_sealed,
    _Row.created_by, _Row.created_at, _Row.updated_at,
)  # fmt: skip


def _certificate(row: CertificateRow) -> Certificate:
    return Certificate(
        id=row.id,
        names=tuple(row.names),
        kind=Kind(row.kind),
        status=Status(row.status),
        is_box=row.is_box,
        is_asked=row.is_asked,
        issuer=row.issuer,
        serial=row.serial,
        fingerprint=row.fingerprint,
        not_before=row.not_before,
        not_after=row.not_after,
        renew_at=row.renew_at,
        window_check_at=row.window_check_at,
        attempts=row.attempts,
        attempted_at=row.attempted_at,
        next_attempt_at=row.next_attempt_at,
        error_kind=ErrorKind(row.error_kind) if row.error_kind else None,
        error=row.error,
        directory_url=row.directory_url,
        order_url=row.order_url,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        has_order=bool(row.order_url and row.next_key_sealed),
    )


def all_certificates() -> list[Certificate]:
    """Return every certificate, the box's first, then in the order of their making."""
    query = CertificateRow.select(*_SHORT).order_by(
        CertificateRow.is_box.desc(), CertificateRow.id
    )
    return [_certificate(row) for row in query]


def page(after_id: int | None, limit: int) -> list[Certificate]:
    """Return up to ``limit`` certificates, the newest first, older than ``after_id``."""
    query = (
        CertificateRow.select(*_SHORT).order_by(CertificateRow.id.desc()).limit(limit)
    )
    if after_id is not None:
        query = query.where(CertificateRow.id < after_id)
    return [_certificate(row) for row in query]


def get(certificate_id: int) -> Certificate:
    """Return one certificate.

    Raises:
        CertificateNotFoundError: There is none of that number.
    """
    query = CertificateRow.select(*_SHORT).where(CertificateRow.id == certificate_id)
    row = query.first()
    if row is None:
        raise CertificateNotFoundError(f"There is no certificate {certificate_id}.")
    return _certificate(row)


def chain_of(certificate_id: int) -> str | None:
    """Return the chain of what is issued."""
    query = CertificateRow.select(CertificateRow.chain)
    found = query.where(CertificateRow.id == certificate_id).scalar()
    return None if found is None else str(found)


def uploaded_for(names: Sequence[str]) -> int | None:
    """Return the number of what was brought for exactly these names."""
    return _exactly(names, Kind.UPLOADED)


def ordered_for(names: Sequence[str]) -> int | None:
    """Return the number of what is ordered for exactly these names."""
    return _exactly(names, Kind.ACME)


def _exactly(names: Sequence[str], kind: Kind) -> int | None:
    wanted = sorted(names)
    query = _Row.select(_Row.id, _Row.names).where(
        _Row.kind == kind.value, _Row.names.contains(wanted[:1])
    )
    return next((row.id for row in query if sorted(row.names) == wanted), None)


def notify() -> None:
    """Have whoever keeps certificates look."""
    database.execute_sql("NOTIFY certificates")


def key_of(certificate_id: int) -> bytes | None:
    """Return the sealed key of what is issued."""
    return _blob(CertificateRow.key_sealed, certificate_id)


def next_key_of(certificate_id: int) -> bytes | None:
    """Return the sealed key of the order that is under way."""
    return _blob(CertificateRow.next_key_sealed, certificate_id)


def _blob(column: Any, certificate_id: int) -> bytes | None:
    query = CertificateRow.select(column).where(CertificateRow.id == certificate_id)
    found = query.scalar()
    return None if found is None else bytes(found)


def add(
    names: Sequence[str],
    kind: Kind,
    *,
    is_box: bool = False,
    is_asked: bool = False,
    by: str = "system",
) -> int:
    """Add a certificate that is wanted, and return its number."""
    row = CertificateRow.create(
        names=list(names),
        kind=kind.value,
        is_box=is_box,
        is_asked=is_asked,
        created_by=by,
    )
    return int(row.id)


def change(certificate_id: int, **values: Any) -> None:
    """Set columns of a certificate; enums as they are."""
    CertificateRow.update(updated_at=now(), **values).where(
        CertificateRow.id == certificate_id
    ).execute()


def keep_issued(
    certificate_id: int,
    issued: Issued,
    key_sealed: bytes,
    *,
    renew_at: datetime | None,
    directory_url: str = "",
) -> None:
    """Keep what was issued or brought; what failed before is over."""
    change(
        certificate_id,
        status=Status.VALID.value,
        names=list(issued.names),
        chain=issued.chain,
        key_sealed=key_sealed,
        issuer=issued.issuer,
        serial=issued.serial,
        fingerprint=issued.fingerprint,
        not_before=issued.not_before,
        not_after=issued.not_after,
        renew_at=renew_at,
        window_check_at=None,
        attempts=0,
        attempted_at=now(),
        next_attempt_at=None,
        error_kind="",
        error="",
        directory_url=directory_url,
        order_url="",
        next_key_sealed=None,
    )


def keep_failure(
    certificate: Certificate,
    kind: ErrorKind,
    text: str,
    *,
    next_attempt_at: datetime,
    forgets_order: bool,
) -> None:
    """Keep that an attempt failed; what was good stays."""
    values: dict[str, Any] = {
        "status": Status.FAILED.value,
        "attempts": failed_again(certificate.attempts, certificate.error_kind, kind),
        "attempted_at": now(),
        "next_attempt_at": next_attempt_at,
        "error_kind": kind.value,
        "error": text[:MAX_TEXT],
    }
    if forgets_order:
        values |= {"order_url": "", "next_key_sealed": None}
    change(certificate.id, **values)


def forget(certificate_id: int) -> None:
    """Remove a certificate and what happened to it."""
    CertificateRow.delete().where(CertificateRow.id == certificate_id).execute()


def tell(certificate_id: int, kind: str, text: str) -> None:
    """Add to what happened to a certificate; the oldest is forgotten once there is much."""
    EventRow.insert(
        certificate_id=certificate_id, at=now(), kind=kind, text=text[:MAX_TEXT]
    ).execute()
    oldest = (
        EventRow.select(EventRow.id)
        .where(EventRow.certificate_id == certificate_id)
        .order_by(EventRow.id.desc())
        .offset(KEEP_EVENTS)
        .limit(1)
        .scalar()
    )
    if oldest is not None:
        EventRow.delete().where(
            EventRow.certificate_id == certificate_id, EventRow.id <= oldest
        ).execute()


def events_of(certificate_id: int, limit: int = KEEP_EVENTS) -> list[Event]:
    """Return what happened to a certificate, the newest first."""
    query = (
        EventRow.select()
        .where(EventRow.certificate_id == certificate_id)
        .order_by(EventRow.id.desc())
        .limit(limit)
    )
    return [Event(row.id, row.at, row.kind, row.text) for row in query]


def times_of(
    kinds: Collection[str], since: datetime
) -> dict[int, dict[str, tuple[datetime, ...]]]:
    """Return when events of ``kinds`` happened since then, by certificate and kind."""
    query = EventRow.select(EventRow.certificate_id, EventRow.kind, EventRow.at).where(
        EventRow.kind.in_(list(kinds)), EventRow.at > since
    )
    found: dict[int, dict[str, tuple[datetime, ...]]] = {}
    for row in query:
        of_one = found.setdefault(row.certificate_id, {})
        of_one[row.kind] = (*of_one.get(row.kind, ()), row.at)
    return found


def bring_back_to(moment: datetime, slack: timedelta) -> int:
    """Let nothing have happened after ``moment``, because the clock was set back; return how many events that were."""
    return int(EventRow.update(at=moment).where(EventRow.at > moment + slack).execute())


def own_ca() -> tuple[str, bytes] | None:
    """Return the own CA's root and its sealed key."""
    row = OwnCaRow.get_or_none(OwnCaRow.id == 1)
    return None if row is None else (row.certificate, bytes(row.key_sealed))


def keep_own_ca(certificate: str, key_sealed: bytes) -> None:
    """Keep the own CA; where another process was quicker, its own stays."""
    OwnCaRow.insert(
        id=1, certificate=certificate, key_sealed=key_sealed
    ).on_conflict_ignore().execute()


def replace_own_ca(certificate: str, key_sealed: bytes) -> None:
    """Exchange the own CA for one whose key can be opened."""
    OwnCaRow.update(
        certificate=certificate, key_sealed=key_sealed, created_at=now()
    ).where(OwnCaRow.id == 1).execute()


def server_names() -> list[str]:
    """Return the names of all servers, which are those of their hosts below BASE_DOMAIN."""
    query = "SELECT name FROM servers WHERE desired_state <> 'deleted' ORDER BY id"
    return [name for (name,) in database.execute_sql(query).fetchall()]
