"""Queries about API keys; every function runs inside ``database.run``."""

from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN

from appliance.accounts.key_scopes import packed, unpacked
from appliance.accounts.model import ApiKey, KeyLimits, MemberRole, Role, User
from appliance.accounts.tables import ApiKeyRow, UserRow
from appliance.core.clock import now


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        limits=KeyLimits(row.calls_per_second, row.concurrency),
        org_id=row.org_id,
        org_role=MemberRole(row.org_role) if row.org_role else None,
        scope=unpacked(row.scope),
        replaced_by=row.replaced_by,
    )


def add(key: ApiKey, key_hash: bytes) -> ApiKey:
    """Insert a key, and return it with its number."""
    row = ApiKeyRow.create(
        user_id=key.user_id,
        name=key.name,
        prefix=key.prefix,
        key_hash=key_hash,
        created_at=key.created_at,
        expires_at=key.expires_at,
        calls_per_second=key.limits.calls_per_second,
        concurrency=key.limits.concurrency,
        org_id=key.org_id,
        org_role=key.org_role.value if key.org_role else None,
        scope=packed(key.scope),
    )
    return _key(row)


def find(key_hash: bytes) -> tuple[ApiKey, User | None] | None:
    """Return a key that works, with its person; one that acts for an organisation has none."""
    row = (
        ApiKeyRow.select(ApiKeyRow, UserRow)
        .join(
            UserRow, JOIN.LEFT_OUTER, on=(UserRow.id == ApiKeyRow.user_id), attr="user"
        )
        .where(_works(), ApiKeyRow.key_hash == key_hash, UserRow.disabled_at.is_null())
        .first()
    )
    if row is None:
        return None
    return _key(row), _user(row.user) if row.user_id is not None else None


def _user(row: UserRow) -> User:
    return User(row.id, row.email, Role(row.role), row.created_at, row.disabled_at)


def _works() -> Any:
    ends = ApiKeyRow.expires_at
    return ApiKeyRow.revoked_at.is_null() & (ends.is_null() | (ends > now()))


def get(key_id: int) -> ApiKey | None:
    """Return a key that was not revoked; nobody else changes it until the transaction ends."""
    row = (
        ApiKeyRow.select()
        .where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_null())
        .for_update()
        .first()
    )
    return _key(row) if row else None


def touch(key_id: int, *, unless_since: timedelta) -> None:
    """Note that the key was used, unless that was noted a moment ago."""
    ApiKeyRow.update(last_used_at=now()).where(
        ApiKeyRow.id == key_id,
        ApiKeyRow.last_used_at.is_null()
        | (ApiKeyRow.last_used_at < now() - unless_since),
    ).execute()


def of_person(user_id: int) -> list[ApiKey]:
    """Return a person's keys that were not revoked, newest first."""
    return _newest(ApiKeyRow.user_id == user_id)


def of_org(org_id: int) -> list[ApiKey]:
    """Return the keys that act for an organisation and were not revoked, newest first."""
    return _newest(ApiKeyRow.org_id == org_id)


def _newest(whose: Any) -> list[ApiKey]:
    rows = (
        ApiKeyRow.select()
        .where(whose, ApiKeyRow.revoked_at.is_null())
        .order_by(ApiKeyRow.id.desc())
    )
    return [_key(row) for row in rows]


def limit(key_id: int, limits: KeyLimits) -> ApiKey:
    """Set the limits of a key, and return it."""
    ApiKeyRow.update(
        {
            "calls_per_second": limits.calls_per_second,
            "concurrency": limits.concurrency,
        }
    ).where(ApiKeyRow.id == key_id).execute()
    return _key(ApiKeyRow.get_by_id(key_id))


def replace(key_id: int, by: int, *, ends: datetime) -> ApiKey:
    """Let another key take the place of one, which works until then, and return it."""
    ApiKeyRow.update(replaced_by=by, expires_at=ends).where(
        ApiKeyRow.id == key_id
    ).execute()
    return _key(ApiKeyRow.get_by_id(key_id))


def revoke(key_id: int) -> None:
    """Revoke a key."""
    ApiKeyRow.update(revoked_at=now()).where(ApiKeyRow.id == key_id).execute()
