"""How keys come to be: what is asked for is checked, and a successor is the same again."""

from dataclasses import dataclass, replace

from appliance.accounts import key_limits, key_store
from appliance.accounts.errors import KeyReplacedError
from appliance.accounts.model import ApiKey, NewKey
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import key_hash, new_key

KEY_PREFIX = "mcph_"
#: Characters of a key that stay visible, so that a person recognises it.
KEY_VISIBLE = len(KEY_PREFIX) + 6
MAX_KEY_NAME = 100


@dataclass(frozen=True)
class MadeKey:
    """A new key, and the key itself, which is shown this once."""

    key: ApiKey
    shown: str


def checked(wanted: NewKey) -> NewKey:
    """Return what is asked for as it is stored.

    Raises:
        InvalidError: The name is empty or too long, the key would have run out already, a limit is not above zero, or there
            is a role without an organisation.
    """
    name = wanted.name.strip()
    if not 0 < len(name) <= MAX_KEY_NAME:
        raise InvalidError.field(
            "name", f"use 1 to {MAX_KEY_NAME} characters, such as laptop"
        )
    if wanted.expires_at is not None and wanted.expires_at <= now():
        raise InvalidError.field("expires_at", "give a moment in the future")
    if wanted.org is None and wanted.org_role is not None:
        raise InvalidError.field("org_role", "name the organisation too, as org")
    key_limits.check(wanted.limits)
    return replace(wanted, name=name)


def make(wanted: NewKey, user_id: int | None, org_id: int | None) -> MadeKey:
    """Insert a key; runs inside ``database.run``."""
    shown = new_key(KEY_PREFIX)
    key = ApiKey(
        id=0,
        user_id=user_id,
        name=wanted.name,
        prefix=shown[:KEY_VISIBLE],
        created_at=now(),
        last_used_at=None,
        expires_at=wanted.expires_at,
        revoked_at=None,
        limits=wanted.limits,
        org_id=org_id,
        org_role=wanted.org_role,
        scope=wanted.scope,
    )
    return MadeKey(key_store.add(key, key_hash(shown)), shown)


def successor(old: ApiKey) -> NewKey:
    """Return the same again: it lasts as long as the old one was made for."""
    ends = None
    if old.expires_at is not None:
        ends = now() + (old.expires_at - old.created_at)
    return NewKey(old.name, ends, old.limits, old.scope, old.org_id, old.org_role)


def require_not_replaced(old: ApiKey) -> None:
    """Raise ``KeyReplacedError`` if another key took its place already."""
    if old.replaced_by is not None:
        raise KeyReplacedError(
            f"Key {old.replaced_by} took the place of key {old.id} already.",
            hint=f"Rotate key {old.replaced_by}, or revoke this one.",
        )
