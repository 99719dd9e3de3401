"""Queries about sessions; every function runs inside ``database.run``."""

from datetime import datetime

from appliance.accounts.model import Session, User
from appliance.accounts.store import user_of
from appliance.accounts.tables import SessionRow, UserRow
from appliance.core.clock import now


def _session(row: SessionRow) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
    )


def add(  # noqa: PLR0913 - the columns of a row
    user_id: int,
    *,
    token_hash: bytes,
    csrf_token: str,
    user_agent: str,
    expires_at: datetime,
    identity_id: int | None = None,
    id_token: bytes | None = None,
) -> None:
    """Insert a session; of one that a provider opened, with its sealed ID token if it will be needed."""
    SessionRow.create(
        user_id=user_id,
        token_hash=token_hash,
        csrf_token=csrf_token,
        user_agent=user_agent[:300],
        created_at=now(),
        last_seen_at=now(),
        expires_at=expires_at,
        identity_id=identity_id,
        id_token=id_token,
    )


def id_token_of(session_id: int) -> bytes | None:
    """Return the sealed ID token that a session was opened with."""
    row = SessionRow.get_or_none(SessionRow.id == session_id)
    return bytes(row.id_token) if row and row.id_token else None


def find(token_hash: bytes) -> tuple[Session, str, User] | None:
    """Return a session that is open, with its CSRF token and its person."""
    row = (
        SessionRow.select(SessionRow, UserRow)
        .join(UserRow, on=(UserRow.id == SessionRow.user_id), attr="user")
        .where(
            SessionRow.token_hash == token_hash,
            SessionRow.revoked_at.is_null(),
            SessionRow.expires_at > now(),
            UserRow.disabled_at.is_null(),
        )
        .first()
    )
    return (_session(row), row.csrf_token, user_of(row.user)) if row else None


def touch(session_id: int, *, expires_at: datetime) -> None:
    """Note that the session is in use, and let it last longer."""
    SessionRow.update(last_seen_at=now(), expires_at=expires_at).where(
        SessionRow.id == session_id
    ).execute()


def open_ones(user_id: int) -> list[Session]:
    """Return a person's open sessions, the one used last first."""
    rows = (
        SessionRow.select()
        .where(
            SessionRow.user_id == user_id,
            SessionRow.revoked_at.is_null(),
            SessionRow.expires_at > now(),
        )
        .order_by(SessionRow.last_seen_at.desc())
    )
    return [_session(row) for row in rows]


def revoke(user_id: int, *, only: int | None = None, but: int | None = None) -> int:
    """End a person's sessions: one, all, or all but one; return how many ended."""
    query = SessionRow.update(revoked_at=now()).where(
        SessionRow.user_id == user_id, SessionRow.revoked_at.is_null()
    )
    if only is not None:
        query = query.where(SessionRow.id == only)
    if but is not None:
        query = query.where(SessionRow.id != but)
    return int(query.execute())


def revoke_opened_by(identity_id: int, *, but: int | None = None) -> None:
    """End the sessions that a provider opened for somebody, or all but one."""
    query = SessionRow.update(revoked_at=now()).where(
        SessionRow.identity_id == identity_id, SessionRow.revoked_at.is_null()
    )
    if but is not None:
        query = query.where(SessionRow.id != but)
    query.execute()


def prune(before: datetime) -> int:
    """Remove sessions that ended before then; return how many rows went."""
    return int(
        SessionRow.delete()
        .where((SessionRow.expires_at < before) | (SessionRow.revoked_at < before))
        .execute()
    )
