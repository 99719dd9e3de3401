"""Queries about invitations; every function runs inside ``database.run``."""

from datetime import datetime

from appliance.accounts.model import MemberRole
from appliance.accounts.orgs.model import Invitation
from appliance.accounts.orgs.tables import OrgInvitationRow
from appliance.core.clock import now


def _invitation(row: OrgInvitationRow) -> Invitation:
    return Invitation(
        id=row.id,
        org_id=row.org_id,
        role=MemberRole(row.role),
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _is_open() -> object:
    return (
        OrgInvitationRow.accepted_at.is_null()
        & OrgInvitationRow.revoked_at.is_null()
        & (OrgInvitationRow.expires_at > now())
    )


def add(
    org_id: int,
    *,
    role: MemberRole,
    note: str,
    token_hash: bytes,
    created_by: str,
    expires_at: datetime,
) -> Invitation:
    """Insert an invitation."""
    row = OrgInvitationRow.create(
        org_id=org_id,
        role=role.value,
        note=note,
        token_hash=token_hash,
        created_by=created_by,
        created_at=now(),
        expires_at=expires_at,
    )
    return _invitation(row)


def open_ones(org_id: int) -> list[Invitation]:
    """Return the invitations with which somebody may still join, newest first."""
    rows = (
        OrgInvitationRow.select()
        .where(OrgInvitationRow.org_id == org_id, _is_open())
        .order_by(OrgInvitationRow.id.desc())
    )
    return [_invitation(row) for row in rows]


def find(token_hash: bytes) -> Invitation | None:
    """Return the invitation of this token, if somebody may still join with it; it is held until the transaction ends."""
    row = (
        OrgInvitationRow.select()
        .where(OrgInvitationRow.token_hash == token_hash, _is_open())
        .for_update()
        .first()
    )
    return _invitation(row) if row else None


def use(invitation_id: int, *, by: str) -> None:
    """Note who joined with it; nobody else does."""
    OrgInvitationRow.update(accepted_by=by, accepted_at=now()).where(
        OrgInvitationRow.id == invitation_id
    ).execute()


def revoke(org_id: int, invitation_id: int) -> bool:
    """Shut an invitation; return whether it was open."""
    return bool(
        OrgInvitationRow.update(revoked_at=now())
        .where(
            OrgInvitationRow.id == invitation_id,
            OrgInvitationRow.org_id == org_id,
            _is_open(),
        )
        .execute()
    )
