"""What people do with their accounts: register, sign in and out, and keep sessions and keys."""

import hmac
import re
import secrets
import unicodedata
from datetime import datetime, timedelta

from appliance.accounts import attempts, key_limits, store
from appliance.accounts.access import require_administer
from appliance.accounts.attempts import MAX_EMAIL, Attempt
from appliance.accounts.errors import (
    KeyNotFoundError,
    RegistrationClosedError,
    SessionNotFoundError,
    WrongCredentialsError,
)
from appliance.accounts.model import (
    NO_LIMITS,
    SYSTEM,
    ApiKey,
    KeyLimits,
    Principal,
    Role,
    Session,
    SignedIn,
    User,
)
from appliance.accounts.orgs.store import memberships
from appliance.accounts.passwords import Passwords, check_strength
from appliance.core.clock import now
from appliance.core.errors import InvalidError, UnauthenticatedError
from appliance.core.ids import key_hash, new_key
from appliance.infra.database import Database
from appliance.observability.audit import Outcome, record

KEY_PREFIX = "mcph_"
#: Characters of a key that stay visible, so that a person recognises it.
KEY_VISIBLE = len(KEY_PREFIX) + 6
#: How long a session lasts after its last use.
SESSION_LASTS = timedelta(days=14)
#: Uses closer together than this are noted once, so that reading a page is not a write.
NOTED_EVERY = timedelta(minutes=5)
#: Ended sessions and old tries are kept this long.
KEPT = timedelta(days=30)

MAX_KEY_NAME = 100
_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


class UnknownKeyError(UnauthenticatedError):
    """The key is not one of ours, was revoked, or ran out."""

    code = "unknown_key"


class AccountService:
    """People and what they show to be recognised.

    Args:
        open_registration: Whether anybody may register. The first person always may, and becomes administrator.
    """

    def __init__(self, database: Database, *, open_registration: bool = False) -> None:
        """Keep the database."""
        self._database = database
        self._passwords = Passwords()
        self._open_registration = open_registration

    def close(self) -> None:
        """End the hashing threads."""
        self._passwords.close()

    # -- people

    async def may_register(self) -> bool:
        """Return whether somebody who is not signed in may register now."""
        return (
            self._open_registration or await self._database.run(store.count_users) == 0
        )

    async def has_users(self) -> bool:
        """Return whether anybody is registered."""
        return await self._database.run(store.count_users) > 0

    async def register(self, email: str, password: str) -> User:
        """Add the person who asks; the first becomes administrator, even if two ask at once.

        Raises:
            InvalidError: Address or password will not do.
            RegistrationClosedError: Only an administrator adds people.
            EmailTakenError: Somebody has the address.
        """
        email = check_email(email)
        hashed = await self._passwords.hash(check_strength(password, email=email))

        def write() -> User:
            store.lock_registration()
            is_first = store.count_users() == 0
            if not is_first and not self._open_registration:
                raise RegistrationClosedError(
                    "Registration is closed on this box.",
                    hint="Ask an administrator to add you.",
                )
            role = Role.ADMIN if is_first else Role.MEMBER
            return _add(SYSTEM, email, hashed, role)

        return await self._database.run(write)

    async def add_user(
        self, principal: Principal, email: str, password: str, role: Role
    ) -> User:
        """Add somebody on an administrator's word.

        Raises:
            NotAllowedError: The principal is no administrator.
            InvalidError: Address or password will not do.
            EmailTakenError: Somebody has the address.
        """
        require_administer(principal)
        email = check_email(email)
        hashed = await self._passwords.hash(check_strength(password, email=email))

        def write() -> User:
            store.lock_registration()
            return _add(principal, email, hashed, role)

        return await self._database.run(write)

    async def users(self, principal: Principal) -> list[User]:
        """Return everybody, by address.

        Raises:
            NotAllowedError: The principal is no administrator.
        """
        require_administer(principal)
        return await self._database.run(store.users)

    async def change_password(
        self, principal: Principal, current: str, new: str
    ) -> None:
        """Replace the password and end every other session.

        Raises:
            WrongCredentialsError: ``current`` is not the password.
            TooManyAttemptsError: It was wrong too often.
            WeakPasswordError: ``new`` will not do.
        """
        user_id = _person(principal)
        subject = attempts.email_subject(principal.email)
        attempt = await self._database.run(attempts.begin, subject)
        found = await self._database.run(store.get_user, user_id)
        if not await self._passwords.verify(current, found[1] if found else None):
            raise WrongCredentialsError("The current password is not right.")
        hashed = await self._passwords.hash(check_strength(new, email=principal.email))
        kept = principal.credential_id if principal.via == "session" else None

        def write() -> None:
            attempts.was_right(attempt)
            store.set_password(user_id, hashed)
            store.revoke_sessions(user_id, but=kept)
            _audit(
                principal,
                "user.change_password",
                "user",
                user_id,
                object_name=principal.email,
            )

        await self._database.run(write)

    # -- signing in

    async def login(
        self, email: str, password: str, *, address: str = "", user_agent: str = ""
    ) -> SignedIn:
        """Open a session.

        Raises:
            WrongCredentialsError: E-mail and password do not belong together.
            TooManyAttemptsError: Too many tries failed, for this e-mail or from this address.
        """
        subject = attempts.email_subject(email)
        attempt = await self._database.run(
            attempts.begin, subject, f"address:{address}"
        )
        found = await self._database.run(store.find_user, email.strip())
        user, hashed = found or (None, None)
        matches = await self._passwords.verify(password, hashed)
        if user is None or not matches or user.disabled_at:
            await self._database.run(_note_refusal, email)
            raise WrongCredentialsError("E-mail and password do not belong together.")
        return await self._database.run(_open_session, user, attempt, user_agent)

    async def logout(self, principal: Principal) -> None:
        """End the session that the principal came with; a key stays as it is."""
        if principal.via == "session" and principal.credential_id is not None:
            await self.revoke_session(principal, principal.credential_id)

    async def session(self, token: str) -> Principal | None:
        """Return who the cookie's value stands for, or ``None``."""

        def read() -> Principal | None:
            found = store.find_session(key_hash(token))
            if found is None:
                return None
            session, csrf_token, user = found
            if now() - session.last_seen_at > NOTED_EVERY:
                store.touch_session(session.id, expires_at=now() + SESSION_LASTS)
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

    async def sessions(self, principal: Principal) -> list[Session]:
        """Return the principal's open sessions, the one used last first."""
        return await self._database.run(store.sessions, _person(principal))

    async def revoke_session(self, principal: Principal, session_id: int) -> None:
        """End one of the principal's sessions.

        Raises:
            SessionNotFoundError: They have none of this number.
        """
        user_id = _person(principal)

        def write() -> None:
            if not store.revoke_sessions(user_id, only=session_id):
                raise SessionNotFoundError(f"You have no session {session_id}.")
            _audit(principal, "session.revoke", "session", session_id)

        await self._database.run(write)

    async def revoke_other_sessions(self, principal: Principal) -> int:
        """End all the principal's sessions but the one they came with; return how many ended."""
        user_id = _person(principal)
        kept = principal.credential_id if principal.via == "session" else None

        def write() -> int:
            ended = store.revoke_sessions(user_id, but=kept)
            _audit(principal, "session.revoke_others", "user", user_id)
            return ended

        return await self._database.run(write)

    # -- keys

    async def create_key(
        self,
        principal: Principal,
        name: str,
        *,
        expires_at: datetime | None = None,
        limits: KeyLimits = NO_LIMITS,
    ) -> tuple[ApiKey, str]:
        """Return a new key of the principal's, and the key itself, which is shown this once.

        Raises:
            InvalidError: The name is empty or too long, the key would have run out already, or a limit is not above zero.
        """
        user_id = _person(principal)
        name = name.strip()
        if not 0 < len(name) <= MAX_KEY_NAME:
            raise InvalidError.field(
                "name", f"use 1 to {MAX_KEY_NAME} characters, such as laptop"
            )
        if expires_at is not None and expires_at <= now():
            raise InvalidError.field("expires_at", "give a moment in the future")
        key_limits.check(limits)
        key = new_key(KEY_PREFIX)

        def write() -> ApiKey:
            added = store.add_key(
                user_id,
                name=name,
                prefix=key[:KEY_VISIBLE],
                key_hash=key_hash(key),
                expires_at=expires_at,
                limits=limits,
            )
            _audit(principal, "key.create", "key", added.id, object_name=name)
            return added

        return await self._database.run(write), key

    async def keys(self, principal: Principal) -> list[ApiKey]:
        """Return the principal's keys that were not revoked, newest first."""
        return await self._database.run(store.keys, _person(principal))

    async def limit_key(
        self, principal: Principal, key_id: int, limits: KeyLimits
    ) -> ApiKey:
        """Set how much one of the principal's keys may ask of the gateway, and return it.

        Raises:
            InvalidError: A limit is not above zero.
            KeyNotFoundError: They have none of this number.
        """
        user_id = _person(principal)
        key_limits.check(limits)

        def write() -> ApiKey:
            changed = store.limit_key(user_id, key_id, limits)
            if changed is None:
                raise KeyNotFoundError(f"You have no key {key_id}.")
            _audit(principal, "key.limit", "key", key_id, object_name=changed.name)
            return changed

        return await self._database.run(write)

    async def revoke_key(self, principal: Principal, key_id: int) -> None:
        """Revoke one of the principal's keys; it stops working at once.

        Raises:
            KeyNotFoundError: They have none of this number.
        """
        user_id = _person(principal)

        def write() -> None:
            if not store.revoke_key(user_id, key_id):
                raise KeyNotFoundError(f"You have no key {key_id}.")
            _audit(principal, "key.revoke", "key", key_id)

        await self._database.run(write)

    async def authenticate_key(self, key: str) -> Principal:
        """Return who the bearer key stands for.

        Raises:
            UnknownKeyError: It is not one of ours, was revoked, or ran out.
        """

        def read() -> Principal:
            found = store.find_key(key_hash(key))
            if found is None:
                raise UnknownKeyError(
                    "This API key is not known, was revoked, or ran out.",
                    hint="Make a new one on the page Settings, API keys.",
                )
            stored, user = found
            store.touch_key(stored.id, unless_since=NOTED_EVERY)
            return Principal(
                user.id,
                user.email,
                user.role,
                "api_key",
                stored.id,
                memberships=memberships(user.id),
            )

        return await self._database.run(read)

    # -- upkeep

    async def prune(self) -> None:
        """Remove sessions that ended and tries that were made a month ago."""

        def write() -> None:
            store.prune_sessions(now() - KEPT)
            store.prune_attempts(now() - KEPT)

        await self._database.run(write)


def csrf_matches(principal: Principal, sent: str) -> bool:
    """Return whether a browser's write carries the token of its session."""
    return bool(principal.csrf_token) and hmac.compare_digest(
        principal.csrf_token.encode(), sent.encode()
    )


def check_email(email: str) -> str:
    """Return the address as it is stored.

    Raises:
        InvalidError: It is not ``somebody@somewhere``.
    """
    normal = unicodedata.normalize("NFKC", email).strip()
    if len(normal) > MAX_EMAIL or not _EMAIL.fullmatch(normal):
        raise InvalidError.field("email", "give an address such as ada@example.org")
    return normal


def _person(principal: Principal) -> int:
    if principal.user_id is None:
        raise UnauthenticatedError("The system itself has no account.")
    return principal.user_id


def _add(principal: Principal, email: str, hashed: str, role: Role) -> User:
    user = store.add_user(email, hashed, role)
    _audit(principal, "user.create", "user", user.id, object_name=email)
    return user


def _note_refusal(email: str) -> None:
    record(
        SYSTEM,
        "session.create",
        object_type="user",
        object_name=email[:MAX_EMAIL],
        outcome=Outcome.DENIED,
    )


def _open_session(user: User, attempt: Attempt, user_agent: str) -> SignedIn:
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    expires_at = now() + SESSION_LASTS
    attempts.was_right(attempt)
    store.add_session(
        user.id,
        token_hash=key_hash(token),
        csrf_token=csrf_token,
        user_agent=user_agent,
        expires_at=expires_at,
    )
    principal = Principal(user.id, user.email, user.role, "session")
    _audit(principal, "session.create", "user", user.id, object_name=user.email)
    return SignedIn(user, token, csrf_token, expires_at)


def _audit(
    principal: Principal,
    action: str,
    object_type: str,
    object_id: int,
    *,
    object_name: str = "",
) -> None:
    record(
        principal,
        action,
        object_type=object_type,
        object_id=object_id,
        object_name=object_name,
    )
