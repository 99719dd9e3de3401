"""What people do with their accounts: register, sign in and out, and keep sessions."""

import hmac
import secrets
from datetime import timedelta

from appliance.accounts import attempts, store, tickets
from appliance.accounts.attempts import MAX_EMAIL, Attempt
from appliance.accounts.errors import (
    CodeRequiredError,
    RegistrationClosedError,
    SessionNotFoundError,
    WrongCodeError,
    WrongCredentialsError,
)
from appliance.accounts.key_scopes import require_whole
from appliance.accounts.keys import KeyService
from appliance.accounts.model import SYSTEM, Principal, Role, Session, SignedIn, User
from appliance.accounts.orgs.store import memberships
from appliance.accounts.passwords import Passwords, check_strength
from appliance.accounts.people import PeopleService, add_person
from appliance.accounts.persons import audit_user, check_email, person_of
from appliance.accounts.resets import ResetService
from appliance.accounts.second_factor import SecondFactor, is_on
from appliance.accounts.tokens import TokenService, is_token
from appliance.core.clock import now
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.observability.audit import Outcome, record

#: How long a session lasts after its last use.
SESSION_LASTS = timedelta(days=14)
#: Uses closer together than this are noted once, so that reading a page is not a write.
NOTED_EVERY = timedelta(minutes=5)
#: Ended sessions and old tries are kept this long.
KEPT = timedelta(days=30)


class AccountService:
    """Who somebody is who comes to the hub.

    ``keys``, ``people``, ``resets``, ``factor`` and ``tokens`` are the rest of what is done with accounts.

    Args:
        secret: JWT_SECRET; seals the secrets of second factors, and signs tokens.
        previous: JWT_SECRET_PREVIOUS; what it sealed and signed is still good.
        open_registration: Whether anybody may register. The first person always may, and becomes administrator.
    """

    def __init__(
        self,
        database: Database,
        secret: bytes,
        *previous: bytes,
        open_registration: bool = False,
    ) -> None:
        """Keep the database."""
        self._database = database
        self._passwords = Passwords()
        self.keys = KeyService(database)
        self.people = PeopleService(database, self._passwords)
        self._sealer = Sealer(secret, *previous)
        self.tokens = TokenService(database, secret, *previous)
        self.factor = SecondFactor(database, self._sealer)
        self.resets = ResetService(database, self._passwords)
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
            return add_person(SYSTEM, email, hashed, role)

        return await self._database.run(write)

    async def change_password(
        self, principal: Principal, current: str, new: str
    ) -> None:
        """Replace the password and end every other session.

        Raises:
            WrongCredentialsError: ``current`` is not the password.
            TooManyAttemptsError: It was wrong too often.
            WeakPasswordError: ``new`` will not do.
        """
        require_whole(principal, "change the password")
        user_id = person_of(principal)
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
            store.end_resets(user_id)
            store.revoke_sessions(user_id, but=kept)
            audit_user(principal, "user.change_password", user_id, principal.email)

        await self._database.run(write)

    # -- signing in

    async def login(
        self,
        email: str,
        password: str,
        code: str = "",
        *,
        address: str = "",
        user_agent: str = "",
    ) -> SignedIn:
        """Open a session.

        Raises:
            WrongCredentialsError: E-mail and password do not belong together.
            CodeRequiredError: They do, and there is a second factor; no session is open yet.
            WrongCodeError: The code of the second factor is not right.
            TooManyAttemptsError: Too many tries failed, for this e-mail or from this address.
        """
        attempt = await self._begin(email, address)
        found = await self._database.run(store.find_user, email.strip())
        user, hashed = found or (None, None)
        matches = await self._passwords.verify(password, hashed)
        if user is None or hashed is None or not matches or user.disabled_at:
            await self._database.run(_note_refusal, email)
            raise WrongCredentialsError("E-mail and password do not belong together.")
        if not code and await self._database.run(is_on, user.id):
            # Taken back, and earlier failures not forgiven: else the password would buy any number of codes.
            await self._database.run(store.forget_attempts, attempt.ids)
            raise CodeRequiredError(
                "A code of your second factor is needed.",
                ticket=tickets.issue(self._sealer, user.id, hashed),
                hint="Give the code of your app, or a recovery code, as code.",
            )
        return await self._open(user, attempt, code, user_agent)

    async def login_with_code(
        self, ticket: str, code: str, *, address: str = "", user_agent: str = ""
    ) -> SignedIn:
        """Open a session for whoever showed the right password a moment ago.

        Args:
            ticket: Of ``CodeRequiredError``.

        Raises:
            WrongCredentialsError: The ticket ran out, or is none.
            WrongCodeError: The code is not right.
            TooManyAttemptsError: Too many tries failed.
        """
        held = tickets.holder(self._sealer, ticket)
        found = await self._database.run(store.get_user, held[0]) if held else None
        if not held or not found or not tickets.fits(held[1], found[1]):
            raise WrongCredentialsError("This took too long: sign in again.")
        user = found[0]
        attempt = await self._begin(user.email, address)
        if user.disabled_at:
            raise WrongCredentialsError("This took too long: sign in again.")
        return await self._open(user, attempt, code, user_agent)

    async def _begin(self, email: str, address: str) -> Attempt:
        subject = attempts.email_subject(email)
        return await self._database.run(attempts.begin, subject, f"address:{address}")

    async def _open(
        self, user: User, attempt: Attempt, code: str, user_agent: str
    ) -> SignedIn:
        def write() -> SignedIn:
            if is_on(user.id):
                self.factor.check(user.id, code)
            return _open_session(user, attempt, user_agent)

        try:
            return await self._database.run(write)
        except WrongCodeError:
            await self._database.run(_note_refusal, user.email)
            raise

    async def logout(self, principal: Principal) -> None:
        """End the session that the principal came with; a key stays as it is."""
        if principal.via == "session" and principal.credential_id is not None:
            await self.revoke_session(principal, principal.credential_id)

    async def authenticate(self, bearer: str) -> Principal:
        """Return who a key or a token stands for.

        Raises:
            UnknownKeyError: The key is not one of ours, was revoked, or ran out.
            UnknownTokenError: The token is not one of ours, ran out, or its person was disabled.
        """
        if is_token(bearer):
            return await self.tokens.authenticate(bearer)
        return await self.keys.authenticate(bearer)

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
        return await self._database.run(store.sessions, person_of(principal))

    async def revoke_session(self, principal: Principal, session_id: int) -> None:
        """End one of the principal's sessions.

        Raises:
            SessionNotFoundError: They have none of this number.
        """
        require_whole(principal, "end sessions")
        user_id = person_of(principal)

        def write() -> None:
            if not store.revoke_sessions(user_id, only=session_id):
                raise SessionNotFoundError(f"You have no session {session_id}.")
            record(
                principal, "session.revoke", object_type="session", object_id=session_id
            )

        await self._database.run(write)

    async def revoke_other_sessions(self, principal: Principal) -> int:
        """End all the principal's sessions but the one they came with; return how many ended."""
        require_whole(principal, "end sessions")
        user_id = person_of(principal)
        kept = principal.credential_id if principal.via == "session" else None

        def write() -> int:
            ended = store.revoke_sessions(user_id, but=kept)
            audit_user(principal, "session.revoke_others", user_id, principal.email)
            return ended

        return await self._database.run(write)

    # -- upkeep

    async def prune(self) -> None:
        """Remove sessions and links that ended and tries that were made a month ago."""

        def write() -> None:
            store.prune_sessions(now() - KEPT)
            store.prune_attempts(now() - KEPT)
            store.prune_resets(now() - KEPT)

        await self._database.run(write)


def csrf_matches(principal: Principal, sent: str) -> bool:
    """Return whether a browser's write carries the token of its session."""
    return bool(principal.csrf_token) and hmac.compare_digest(
        principal.csrf_token.encode(), sent.encode()
    )


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
    audit_user(principal, "session.create", user.id, user.email)
    return SignedIn(user, token, csrf_token, expires_at)
