"""What people do with their accounts: register, sign in and out, and change their passwords."""

from datetime import timedelta

from appliance.accounts import (
    attempt_store,
    attempts,
    reset_store,
    session_store,
    store,
    tickets,
)
from appliance.accounts.attempts import MAX_EMAIL, Attempt
from appliance.accounts.errors import (
    CodeRequiredError,
    PasswordSignInOffError,
    RegistrationClosedError,
    WrongCodeError,
    WrongCredentialsError,
)
from appliance.accounts.key_scopes import require_whole
from appliance.accounts.keys import KeyService
from appliance.accounts.model import SYSTEM, Principal, Role, SignedIn, User
from appliance.accounts.opening import open_session
from appliance.accounts.passwords import Passwords, check_strength
from appliance.accounts.people import PeopleService, add_person
from appliance.accounts.persons import audit_user, check_email, person_of
from appliance.accounts.resets import ResetService
from appliance.accounts.second_factor import SecondFactor, is_on
from appliance.accounts.sessions import SessionService
from appliance.accounts.tokens import TokenService, is_token
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.observability.audit import Outcome, record

#: Ended sessions and old tries are kept this long.
KEPT = timedelta(days=30)


class AccountService:
    """Who somebody is who comes to the hub.

    ``keys``, ``people``, ``sessions``, ``resets``, ``factor`` and ``tokens`` are the rest of what is done with accounts.

    Args:
        secret: JWT_SECRET; seals the secrets of second factors, and signs tokens.
        previous: JWT_SECRET_PREVIOUS; what it sealed and signed is still good.
        open_registration: Whether anybody may register. The first person always may, and becomes administrator.
        passwords_sign_in: Whether passwords sign people in, or but the one administrator's who keeps the door.
    """

    def __init__(
        self,
        database: Database,
        secret: bytes,
        *previous: bytes,
        open_registration: bool = False,
        passwords_sign_in: bool = True,
        passwords: Passwords | None = None,
    ) -> None:
        """Keep the database."""
        self._database = database
        self._passwords = passwords or Passwords()
        self.keys = KeyService(database)
        self.people = PeopleService(database, self._passwords)
        self.sessions = SessionService(database)
        self._sealer = Sealer(secret, *previous)
        self.tokens = TokenService(database, secret, *previous)
        self.factor = SecondFactor(database, self._sealer)
        self.resets = ResetService(database, self._passwords)
        self._open_registration = open_registration and passwords_sign_in
        self._passwords_sign_in = passwords_sign_in

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

    async def has_password(self, principal: Principal) -> bool:
        """Return whether the principal has a password here, or comes by a provider alone."""
        found = await self._database.run(store.get_user, person_of(principal))
        return found is not None and found[0].has_password

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
            reset_store.end(user_id)
            session_store.revoke(user_id, but=kept)
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
            PasswordSignInOffError: It is right, and passwords sign nobody in but the one who keeps the door.
            TooManyAttemptsError: Too many tries failed, for this e-mail or from this address.
        """
        attempt = await self._begin(email, address)
        found = await self._database.run(store.find_user, email.strip())
        user, hashed = found or (None, None)
        matches = await self._passwords.verify(password, hashed)
        if user is None or hashed is None or not matches or user.disabled_at:
            await self._database.run(_note_refusal, email)
            raise WrongCredentialsError("E-mail and password do not belong together.")
        await self._refuse_others(user, attempt)
        if not code and await self._database.run(is_on, user.id):
            # Taken back, and earlier failures not forgiven: else the password would buy any number of codes.
            await self._database.run(attempt_store.forget, attempt.ids)
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
        if not held or not found or not tickets.fits(held[1], found[1] or ""):
            raise WrongCredentialsError("This took too long: sign in again.")
        user = found[0]
        attempt = await self._begin(user.email, address)
        if user.disabled_at:
            raise WrongCredentialsError("This took too long: sign in again.")
        await self._refuse_others(user, attempt)
        return await self._open(user, attempt, code, user_agent)

    async def _refuse_others(self, user: User, attempt: Attempt) -> None:
        """Let a right password sign in nobody but the keeper of the door, where the settings have it so."""
        if self._passwords_sign_in:
            return
        if await self._database.run(store.keeper_of_the_door) == user.id:
            return
        await self._database.run(attempt_store.forget, attempt.ids)
        await self._database.run(_note_refusal, user.email)
        raise PasswordSignInOffError(
            "Passwords sign nobody in on this box.",
            hint="Sign in with the provider that the sign-in page names; for programs, make an API key there.",
        )

    async def _begin(self, email: str, address: str) -> Attempt:
        subject = attempts.email_subject(email)
        return await self._database.run(attempts.begin, subject, f"address:{address}")

    async def _open(
        self, user: User, attempt: Attempt, code: str, user_agent: str
    ) -> SignedIn:
        def write() -> SignedIn:
            if is_on(user.id):
                self.factor.check(user.id, code)
            attempts.was_right(attempt)
            return open_session(user, user_agent)

        try:
            return await self._database.run(write)
        except WrongCodeError:
            await self._database.run(_note_refusal, user.email)
            raise

    async def logout(self, principal: Principal) -> bytes | None:
        """End the session that the principal came with; a key stays as it is.

        Returns:
            The sealed ID token that the session began with, if the provider is to be told.
        """
        if principal.via != "session" or principal.credential_id is None:
            return None
        kept = await self._database.run(
            session_store.id_token_of, principal.credential_id
        )
        await self.sessions.end(principal, principal.credential_id)
        return kept

    async def authenticate(self, bearer: str) -> Principal:
        """Return who a key or a token stands for.

        Raises:
            UnknownKeyError: The key is not one of ours, was revoked, or ran out.
            UnknownTokenError: The token is not one of ours, ran out, or its person was disabled.
        """
        if is_token(bearer):
            return await self.tokens.authenticate(bearer)
        return await self.keys.authenticate(bearer)

    # -- upkeep

    async def prune(self) -> None:
        """Remove sessions and links that ended and tries that were made a month ago."""

        def write() -> None:
            session_store.prune(now() - KEPT)
            attempt_store.prune(now() - KEPT)
            reset_store.prune(now() - KEPT)

        await self._database.run(write)


def _note_refusal(email: str) -> None:
    record(
        SYSTEM,
        "session.create",
        object_type="user",
        object_name=email[:MAX_EMAIL],
        outcome=Outcome.DENIED,
    )
