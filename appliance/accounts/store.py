"""Queries about people; every function runs inside ``database.run``."""

from collections.abc import Collection
from typing import Any

from peewee import IntegrityError, fn

from appliance.accounts.errors import EmailTakenError
from appliance.accounts.model import Role, User
from appliance.accounts.tables import (
    UserRow,
)
from appliance.core.clock import now
from appliance.infra.database import proxy

#: Any number that nobody else takes; held while the first person registers.
FIRST_USER_LOCK = 0x4D43_5055


def user_of(row: UserRow) -> User:
    """Return a person as a row has them."""
    return User(
        id=row.id,
        email=row.email,
        role=Role(row.role),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        server_quota=row.server_quota,
        has_password=row.password_hash is not None,
    )


def lock_registration() -> None:
    """Wait until no other registration is under way; the transaction's end lets the next one in."""
    proxy.execute_sql("SELECT pg_advisory_xact_lock(%s)", (FIRST_USER_LOCK,))


def count_users() -> int:
    """Return how many people there are."""
    return int(UserRow.select().count())


def add_user(email: str, password_hash: str | None, role: Role) -> User:
    """Insert a person; ``None``: no password signs them in.

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
    return user_of(row)


def find_user(email: str) -> tuple[User, str | None] | None:
    """Return the person of this address, in any case, with their password's hash."""
    row = UserRow.get_or_none(fn.LOWER(UserRow.email) == email.lower())
    return (user_of(row), row.password_hash) if row else None


def get_user(user_id: int) -> tuple[User, str | None] | None:
    """Return the person of this number with their password's hash."""
    row = UserRow.get_or_none(UserRow.id == user_id)
    return (user_of(row), row.password_hash) if row else None


def users() -> list[User]:
    """Return everybody, by address."""
    return [user_of(row) for row in UserRow.select().order_by(UserRow.email)]


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


def keeper_of_the_door() -> int | None:
    """Return the administrator whose password works whatever the settings say: of those who have one, whoever came first."""
    row = (
        UserRow.select(UserRow.id)
        .where(
            UserRow.role == Role.ADMIN.value,
            UserRow.disabled_at.is_null(),
            ~UserRow.password_hash.is_null(),
        )
        .order_by(UserRow.id)
        .first()
    )
    return row.id if row else None


def change_user(user_id: int, **columns: Any) -> None:
    """Write columns of a person."""
    UserRow.update(columns).where(UserRow.id == user_id).execute()
