"""Queries about people and their sessions; every function runs inside ``database.run``."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from peewee import IntegrityError, fn

from appliance.accounts.errors import EmailTakenError
from appliance.accounts.model import Role, Session, User
from appliance.accounts.tables import (
    LoginAttemptRow,
    PasswordResetRow,
    SessionRow,
    UserRow,
)
from appliance.core.clock import now
from appliance.infra.database import proxy

#: Any number that nobody else takes; held while the first person registers.
FIRST_USER_LOCK = 0x4D43_5055
#: First half of the lock on a subject's attempts.
ATTEMPTS_LOCK = 0x4D43_5041


def _user(row: UserRow) -> User:
    return User(
        id=row.id,
        email=row.email,
        role=Role(row.role),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        server_quota=row.server_quota,
    )


def _session(row: SessionRow) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
    )


# -- people


def lock_registration() -> None:
    """Wait until no other registration is under way; the transaction's end lets the next one in."""
    proxy.execute_sql("SELECT pg_advisory_xact_lock(%s)", (FIRST_USER_LOCK,))


def count_users() -> int:
    """Return how many people there are."""
    return int(UserRow.select().count())


def add_user(email: str, password_hash: str, role: Role) -> User:
    """Insert a person.

    Raises:
        EmailTakenError: Somebody has the address, in any case.
    """
    try:
        row = UserRow.create(
            email=email,
            password_hash=password_hash,
            role=role.value,
            created_at=now(),
        )
    except IntegrityError as error:
        raise EmailTakenError(f"Somebody is registered as {email} already.") from error
    return _user(row)


def find_user(email: str) -> tuple[User, str] | None:
    """Return the person of this address, in any case, with their password's hash."""
    row = UserRow.get_or_none(fn.LOWER(UserRow.email) == email.lower())
    return (_user(row), row.password_hash) if row else None


def get_user(user_id: int) -> tuple[User, str] | None:
    """Return the person of this number with their password's hash."""
    row = UserRow.get_or_none(UserRow.id == user_id)
    return (_user(row), row.password_hash) if row else None


def users() -> list[User]:
    """Return everybody, by address."""
    return [_user(row) for row in UserRow.select().order_by(UserRow.email)]


def emails(user_ids: Collection[int]) -> dict[int, str]:
    """Return the addresses of these people."""
    rows = UserRow.select(UserRow.id, UserRow.email).where(UserRow.id.in_(user_ids))
    return {row.id: row.email for row in rows}


def set_password(user_id: int, password_hash: str) -> None:
    """Replace a password's hash."""
    UserRow.update(password_hash=password_hash).where(UserRow.id == user_id).execute()


def count_admins() -> int:
    """Return how many administrators can sign in."""
    return int(
        UserRow.select()
        .where(UserRow.role == Role.ADMIN.value, UserRow.disabled_at.is_null())
        .count()
    )


def change_user(user_id: int, **columns: Any) -> None:
    """Write columns of a person."""
    UserRow.update(columns).where(UserRow.id == user_id).execute()


def add_reset(
    user_id: int, token_hash: bytes, *, created_by: str, expires_at: datetime
) -> None:
    """Insert a link for a new password; those that the person had before end."""
    end_resets(user_id)
    PasswordResetRow.create(
        user_id=user_id,
        token_hash=token_hash,
        created_by=created_by,
        created_at=now(),
        expires_at=expires_at,
    )


def find_reset(token_hash: bytes) -> User | None:
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
    found = get_user(row.user_id) if row else None
    return found[0] if found and not found[0].disabled_at else None


def end_resets(user_id: int) -> None:
    """Let no link set a person's password any more."""
    PasswordResetRow.update(used_at=now()).where(
        PasswordResetRow.user_id == user_id, PasswordResetRow.used_at.is_null()
    ).execute()


def prune_resets(before: datetime) -> None:
    """Remove links that ended before then."""
    PasswordResetRow.delete().where(PasswordResetRow.expires_at < before).execute()


# -- attempts


def lock_attempts(subjects: tuple[str, ...]) -> None:
    """Wait until nobody else tries for one of the subjects; the transaction's end lets the next one in."""
    for subject in sorted(subjects):
        proxy.execute_sql(
            "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (ATTEMPTS_LOCK, subject)
        )


def add_attempts(subjects: tuple[str, ...], *, succeeded: bool) -> list[int]:
    """Remember a try to sign in under each of its subjects; return the rows' ids."""
    rows = [
        LoginAttemptRow.create(subject=subject, succeeded=succeeded, at=now())
        for subject in subjects
    ]
    return [row.id for row in rows]


def forget_attempts(ids: list[int]) -> None:
    """Take back what was remembered."""
    LoginAttemptRow.delete().where(LoginAttemptRow.id.in_(ids)).execute()


def failures(subject: str, since: datetime) -> list[datetime]:
    """Return the moments of failed tries since then, and since the last success, oldest first."""
    tries = (
        LoginAttemptRow.select(LoginAttemptRow.succeeded, LoginAttemptRow.at)
        .where(LoginAttemptRow.subject == subject, LoginAttemptRow.at > since)
        .order_by(LoginAttemptRow.id)
    )
    found: list[datetime] = []
    for row in tries:
        found = [] if row.succeeded else [*found, row.at]
    return found


def prune_attempts(before: datetime) -> int:
    """Remove older tries; return how many rows went."""
    return int(LoginAttemptRow.delete().where(LoginAttemptRow.at < before).execute())


# -- sessions


def add_session(
    user_id: int,
    *,
    token_hash: bytes,
    csrf_token: str,
    user_agent: str,
    expires_at: datetime,
) -> None:
    """Insert a session."""
    SessionRow.create(
        user_id=user_id,
        token_hash=token_hash,
        csrf_token=csrf_token,
        user_agent=user_agent[:300],
        created_at=now(),
        last_seen_at=now(),
        expires_at=expires_at,
    )


def find_session(token_hash: bytes) -> tuple[Session, str, User] | None:
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
    return (_session(row), row.csrf_token, _user(row.user)) if row else None


def touch_session(session_id: int, *, expires_at: datetime) -> None:
    """Note that the session is in use, and let it last longer."""
    SessionRow.update(last_seen_at=now(), expires_at=expires_at).where(
        SessionRow.id == session_id
    ).execute()


def sessions(user_id: int) -> list[Session]:
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


def revoke_sessions(
    user_id: int, *, only: int | None = None, but: int | None = None
) -> int:
    """End a person's sessions: one, all, or all but one; return how many ended."""
    query = SessionRow.update(revoked_at=now()).where(
        SessionRow.user_id == user_id, SessionRow.revoked_at.is_null()
    )
    if only is not None:
        query = query.where(SessionRow.id == only)
    if but is not None:
        query = query.where(SessionRow.id != but)
    return int(query.execute())


def prune_sessions(before: datetime) -> int:
    """Remove sessions that ended before then; return how many rows went."""
    return int(
        SessionRow.delete()
        .where((SessionRow.expires_at < before) | (SessionRow.revoked_at < before))
        .execute()
    )
