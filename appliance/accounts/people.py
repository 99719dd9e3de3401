"""The people of the box, on an administrator's word."""

from dataclasses import replace
from functools import partial
from typing import Any

from appliance.accounts import identity_store, reset_store, session_store, store
from appliance.accounts.access import require_administer
from appliance.accounts.errors import LastAdminError, UserNotFoundError
from appliance.accounts.model import Principal, Role, User, UserChange
from appliance.accounts.passwords import Passwords, check_strength
from appliance.accounts.persons import audit_user, check_email
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.infra.database import Database

MAX_QUOTA = 1_000_000


class PeopleService:
    """People, for administrators; everybody else gets ``NotAllowedError``."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        """Keep the collaborators."""
        self._database = database
        self._passwords = passwords

    async def add(
        self, principal: Principal, email: str, password: str, role: Role
    ) -> User:
        """Add somebody.

        Raises:
            InvalidError: Address or password will not do.
            EmailTakenError: Somebody has the address.
        """
        require_administer(principal)
        email = check_email(email)
        hashed = await self._passwords.hash(check_strength(password, email=email))

        def write() -> User:
            store.lock_registration()
            return add_person(principal, email, hashed, role)

        return await self._database.run(write)

    async def list(self, principal: Principal) -> list[User]:
        """Return everybody, by address."""
        require_administer(principal)
        return await self._database.run(lambda: _linked(store.users()))

    async def get(self, principal: Principal, user_id: int) -> User:
        """Return somebody.

        Raises:
            UserNotFoundError: There is nobody of this number.
        """
        require_administer(principal)
        return await self._database.run(lambda: _linked([existing(user_id)])[0])

    async def change(
        self, principal: Principal, user_id: int, change: UserChange
    ) -> User:
        """Change what somebody is, whether they may come at all, or how much they may have; return them.

        Who is disabled is signed out everywhere; their keys, tokens and servers' owner stay, and the keys and tokens open
        nothing until they are enabled again.

        Raises:
            InvalidError: The quota is negative or beyond reason.
            UserNotFoundError: There is nobody of this number.
            LastAdminError: No administrator who can sign in would be left.
        """
        require_administer(principal)
        _check_quota(change.server_quota)

        def write() -> User:
            # One at a time: two administrators who demote each other must not both succeed.
            store.lock_registration()
            before = existing(user_id)
            if columns := _columns(before, change):
                store.change_user(user_id, **columns)
            if store.count_admins() == 0:
                raise LastAdminError(
                    "The box would be left without an administrator.",
                    hint="Make somebody else administrator first.",
                )
            after = existing(user_id)
            if after.disabled_at:
                session_store.revoke(user_id)
                reset_store.end(user_id)
            _audit_change(principal, before, after)
            return _linked([after])[0]

        return await self._database.run(write)


def existing(user_id: int) -> User:
    """Return somebody; runs inside ``database.run``.

    Raises:
        UserNotFoundError: There is nobody of this number.
    """
    found = store.get_user(user_id)
    if found is None:
        raise UserNotFoundError(f"There is no person {user_id}.")
    return found[0]


def _linked(users: list[User]) -> list[User]:
    """Return people with who they are at providers."""
    found = identity_store.of_people([user.id for user in users])
    return [replace(user, identities=found.get(user.id, ())) for user in users]


def _check_quota(quota: int | None) -> None:
    if quota is not None and not 0 <= quota <= MAX_QUOTA:
        raise InvalidError.field(
            "server_quota", f"give 0 to {MAX_QUOTA:,}, or nothing for any number"
        )


def _columns(before: User, change: UserChange) -> dict[str, Any]:
    """Return what is to be written; nothing where nothing changes."""
    columns: dict[str, Any] = {}
    if change.role is not None and change.role is not before.role:
        columns["role"] = change.role.value
    is_disabled = before.disabled_at is not None
    if change.is_disabled is not None and change.is_disabled is not is_disabled:
        columns["disabled_at"] = now() if change.is_disabled else None
    if change.sets_quota and change.server_quota != before.server_quota:
        columns["server_quota"] = change.server_quota
    return columns


def _audit_change(principal: Principal, before: User, after: User) -> None:
    was, became = _told(before), _told(after)
    tell = partial(audit_user, principal, user_id=after.id, email=after.email)
    if before.role is not after.role:
        tell("user.set_role", before=was, after=became)
    if before.disabled_at != after.disabled_at:
        action = "user.disable" if after.disabled_at else "user.enable"
        tell(action, before=was, after=became)
    if before.server_quota != after.server_quota:
        tell("user.set_quota", before=was, after=became)


def _told(user: User) -> dict[str, Any]:
    return {
        "role": user.role.value,
        "is_disabled": user.disabled_at is not None,
        "server_quota": user.server_quota,
    }


def add_person(
    principal: Principal, email: str, hashed: str | None, role: Role
) -> User:
    """Insert somebody, with a line in the trail; runs inside ``database.run``.

    Raises:
        EmailTakenError: Somebody has the address.
    """
    user = store.add_user(email, hashed, role)
    audit_user(principal, "user.create", user.id, email)
    return user
