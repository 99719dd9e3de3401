"""Queries about links that set a new password; every function runs inside ``database.run``."""

from datetime import datetime

from appliance.accounts import store
from appliance.accounts.model import User
from appliance.accounts.tables import PasswordResetRow
from appliance.core.clock import now


def add(
    user_id: int, token_hash: bytes, *, created_by: str, expires_at: datetime
) -> None:
    """Insert a link for a new password; those that the person had before end."""
    end(user_id)
    PasswordResetRow.create(
        user_id=user_id,
        token_hash=token_hash,
        created_by=created_by,
        created_at=now(),
        expires_at=expires_at,
    )


def find(token_hash: bytes) -> User | None:
    """Return whose link it is, if it works; nobody else uses it until the transaction ends."""
    row = (
        PasswordResetRow.select()
        .where(
            PasswordResetRow.token_hash == token_hash,
            PasswordResetRow.used_at.is_null(),
            PasswordResetRow.expires_at > now(),
        )
        .for_update()
        .first()
    )
    found = store.get_user(row.user_id) if row else None
    return found[0] if found and not found[0].disabled_at else None


def end(user_id: int) -> None:
    """Let no link set a person's password any more."""
    PasswordResetRow.update(used_at=now()).where(
        PasswordResetRow.user_id == user_id, PasswordResetRow.used_at.is_null()
    ).execute()


def prune(before: datetime) -> None:
    """Remove links that ended before then."""
    PasswordResetRow.delete().where(PasswordResetRow.expires_at < before).execute()
