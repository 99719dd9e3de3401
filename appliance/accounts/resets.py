"""Links by which somebody who forgot their password sets a new one."""

import secrets
from datetime import timedelta

from appliance.accounts import (
    attempt_store,
    attempts,
    reset_store,
    session_store,
    store,
)
from appliance.accounts.access import require_administer
from appliance.accounts.errors import ResetLinkError
from appliance.accounts.model import SYSTEM, Principal, ResetLink, User
from appliance.accounts.passwords import Passwords, check_strength
from appliance.accounts.people import existing
from appliance.accounts.persons import audit_user
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import key_hash
from appliance.infra.database import Database

#: How long a link works.
LASTS = timedelta(hours=24)
MAX_LASTS = timedelta(days=7)


class ResetService:
    """Makes links on an administrator's word, and lets whoever shows one set a password, once."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        """Keep the collaborators."""
        self._database = database
        self._passwords = passwords

    async def create(
        self, principal: Principal, user_id: int, *, lasts: timedelta = LASTS
    ) -> ResetLink:
        """Make a link for somebody; the ones that they had before end.

        Raises:
            NotAllowedError: The principal is no administrator.
            InvalidError: It would last no time, or above 7 days, or the person is disabled.
            UserNotFoundError: There is nobody of this number.
        """
        require_administer(principal)
        if not timedelta() < lasts <= MAX_LASTS:
            raise InvalidError.field("hours", "give 1 to 168 hours")
        token, ends = secrets.token_urlsafe(32), now() + lasts

        def write() -> ResetLink:
            user = existing(user_id)
            if user.disabled_at:
                raise InvalidError(
                    f"{user.email} is disabled.", hint="Enable the account first."
                )
            reset_store.add(
                user_id,
                key_hash(token),
                created_by=principal.name,
                expires_at=ends,
            )
            audit_user(principal, "user.reset_link", user.id, user.email)
            return ResetLink(user, token, ends)

        return await self._database.run(write)

    async def whose(self, token: str) -> User:
        """Return for whom a link is.

        Raises:
            ResetLinkError: It is not known, was used, or ran out.
        """
        return await self._database.run(_whose, token)

    async def redeem(self, token: str, new: str) -> None:
        """Set the password of whoever the link is for, and end their sessions; the link works this once.

        Raises:
            ResetLinkError: It is not known, was used, or ran out.
            WeakPasswordError: ``new`` will not do; the link still works.
        """
        user = await self.whose(token)
        hashed = await self._passwords.hash(check_strength(new, email=user.email))

        def write() -> None:
            # Again, and locked: two at once must not both set one.
            found = _whose(token)
            store.set_password(found.id, hashed)
            reset_store.end(found.id)
            session_store.revoke(found.id)
            # Whoever forgot a password tried it often; the new one shall work at once.
            attempt_store.add((attempts.email_subject(found.email),), succeeded=True)
            audit_user(SYSTEM, "user.reset_password", found.id, found.email)

        await self._database.run(write)


def _whose(token: str) -> User:
    found = reset_store.find(key_hash(token))
    if found is None:
        raise ResetLinkError.field(
            "token", "the link is not known, was used, or ran out: ask for a new one"
        )
    return found
