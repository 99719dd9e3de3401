"""The sessions of people's browsers: whose one is, which are open, and their end."""

import hmac
from datetime import timedelta

from appliance.accounts import session_store
from appliance.accounts.errors import SessionNotFoundError
from appliance.accounts.key_scopes import require_whole
from appliance.accounts.model import Principal, Session
from appliance.accounts.opening import SESSION_LASTS
from appliance.accounts.orgs.store import memberships
from appliance.accounts.persons import audit_user, person_of
from appliance.core.clock import now
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.observability.audit import record

#: Uses closer together than this are noted once, so that reading a page is not a write.
NOTED_EVERY = timedelta(minutes=5)


class SessionService:
    """Knows whose a session is, and ends those of whoever asks."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def whose(self, token: str) -> Principal | None:
        """Return who the cookie's value stands for, or ``None``."""

        def read() -> Principal | None:
            found = session_store.find(key_hash(token))
            if found is None:
                return None
            session, csrf_token, user = found
            if now() - session.last_seen_at > NOTED_EVERY:
                session_store.touch(session.id, expires_at=now() + SESSION_LASTS)
            return Principal(
                user.id,
                user.email,
                user.role,
                "session",
                session.id,
                csrf_token,
                memberships=memberships(user.id),
            )

        return await self._database.run(read)

    async def list(self, principal: Principal) -> list[Session]:
        """Return the principal's open sessions, the one used last first."""
        return await self._database.run(session_store.open_ones, person_of(principal))

    async def end(self, principal: Principal, session_id: int) -> None:
        """End one of the principal's sessions.

        Raises:
            SessionNotFoundError: They have none of this number.
        """
        require_whole(principal, "end sessions")
        user_id = person_of(principal)

        def write() -> None:
            if not session_store.revoke(user_id, only=session_id):
                raise SessionNotFoundError(f"You have no session {session_id}.")
            record(
                principal, "session.revoke", object_type="session", object_id=session_id
            )

        await self._database.run(write)

    async def end_others(self, principal: Principal) -> int:
        """End all the principal's sessions but the one they came with; return how many ended."""
        require_whole(principal, "end sessions")
        user_id = person_of(principal)
        kept = principal.credential_id if principal.via == "session" else None

        def write() -> int:
            ended = session_store.revoke(user_id, but=kept)
            audit_user(principal, "session.revoke_others", user_id, principal.email)
            return ended

        return await self._database.run(write)


def csrf_matches(principal: Principal, sent: str) -> bool:
    """Return whether a browser's write carries the token of its session."""
    return bool(principal.csrf_token) and hmac.compare_digest(
        principal.csrf_token.encode(), sent.encode()
    )
