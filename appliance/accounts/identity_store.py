"""Queries about who people are at providers; every function runs inside ``database.run``."""

from collections.abc import Collection

from peewee import IntegrityError

from appliance.accounts.errors import IdentityTakenError
from appliance.accounts.model import Identity
from appliance.accounts.tables import IdentityRow
from appliance.core.clock import now


def _identity(row: IdentityRow) -> Identity:
    return Identity(
        id=row.id,
        user_id=row.user_id,
        issuer=row.issuer,
        subject=row.subject,
        email=row.email,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def find(issuer: str, subject: str) -> Identity | None:
    """Return whom a provider means."""
    row = IdentityRow.get_or_none(
        IdentityRow.issuer == issuer, IdentityRow.subject == subject
    )
    return _identity(row) if row else None


def of_people(user_ids: Collection[int]) -> dict[int, tuple[Identity, ...]]:
    """Return who these people are at providers; those who are nobody anywhere are left out."""
    rows = IdentityRow.select().where(IdentityRow.user_id.in_(user_ids))
    found: dict[int, tuple[Identity, ...]] = {}
    for row in rows.order_by(IdentityRow.id):
        found[row.user_id] = (*found.get(row.user_id, ()), _identity(row))
    return found


def add(
    user_id: int, issuer: str, subject: str, *, email: str, created_by: str
) -> Identity:
    """Insert a link.

    Raises:
        IdentityTakenError: Somebody is linked with them already.
    """
    try:
        row = IdentityRow.create(
            user_id=user_id,
            issuer=issuer,
            subject=subject,
            email=email,
            created_by=created_by,
            created_at=now(),
        )
    except IntegrityError as error:
        raise IdentityTakenError(
            "Whoever this is at the provider is linked with a person here already.",
            hint="An administrator can unlink them there first.",
        ) from error
    return _identity(row)


def note_use(identity_id: int, email: str) -> None:
    """Remember that somebody came, and what the provider calls them now."""
    IdentityRow.update(last_used_at=now(), email=email).where(
        IdentityRow.id == identity_id
    ).execute()


def remove(identity_id: int) -> None:
    """Delete a link."""
    IdentityRow.delete().where(IdentityRow.id == identity_id).execute()
