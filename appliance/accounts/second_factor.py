"""A second factor at sign-in: enrolled, asked for, given up, and reset for somebody who lost it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from appliance.accounts import attempts, factor_store, totp
from appliance.accounts.access import require_administer
from appliance.accounts.errors import (
    FactorIsOnError,
    FactorNotFoundError,
    WrongCodeError,
)
from appliance.accounts.key_scopes import require_whole
from appliance.accounts.model import Principal
from appliance.accounts.people import existing
from appliance.accounts.persons import audit_user, person_of
from appliance.core.clock import now
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer


@dataclass(frozen=True)
class FactorState:
    """How a person's second factor stands."""

    on_since: datetime | None
    recovery_codes_left: int


@dataclass(frozen=True)
class Enrolment:
    """What goes into the app; it is asked for once a code of the app was shown."""

    secret: str
    uri: str


class SecondFactor:
    """One-time passwords of people, on their own word; the secrets are sealed, recovery codes hashed.

    Args:
        sealer: Seals the secrets.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        """Keep the collaborators."""
        self._database = database
        self._sealer = sealer

    async def state(self, principal: Principal) -> FactorState:
        """Return how the principal's second factor stands."""
        user_id = person_of(principal)

        def read() -> FactorState:
            found = factor_store.get(user_id)
            since = found.confirmed_at if found else None
            return FactorState(since, factor_store.codes_left(user_id))

        return await self._database.run(read)

    async def enrol(self, principal: Principal) -> Enrolment:
        """Return a new secret for an app; nothing is asked for before ``confirm``.

        Raises:
            FactorIsOnError: There is one already.
        """
        user_id = _whole_person(principal)
        secret = totp.new_secret()
        sealed = self._sealer.seal(secret, _purpose(user_id))

        def write() -> None:
            if is_on(user_id):
                raise FactorIsOnError(
                    "A second factor is on already.", hint="Turn it off first."
                )
            factor_store.put(user_id, sealed)

        await self._database.run(write)
        return Enrolment(totp.in_letters(secret), totp.uri(secret, principal.email))

    async def confirm(self, principal: Principal, code: str) -> list[str]:
        """Turn the second factor on, and return the recovery codes, which are shown this once.

        Raises:
            FactorNotFoundError: No app was given a secret.
            FactorIsOnError: It is on already.
            WrongCodeError: The code is not the app's.
            TooManyAttemptsError: It was wrong too often.
        """
        codes = totp.new_recovery_codes()

        def write(user_id: int) -> None:
            if is_on(user_id):
                raise FactorIsOnError("A second factor is on already.")
            self._take(user_id, code)
            factor_store.confirm(user_id)
            factor_store.put_codes(user_id, _hashes(codes))
            audit_user(principal, "user.totp_on", user_id, principal.email)

        await self._attempt(principal, write)
        return codes

    async def new_codes(self, principal: Principal, code: str) -> list[str]:
        """Return new recovery codes, shown this once; the old ones end.

        Raises:
            FactorNotFoundError: It is not on.
            WrongCodeError: The code is not right.
            TooManyAttemptsError: It was wrong too often.
        """
        codes = totp.new_recovery_codes()

        def write(user_id: int) -> None:
            self.check(user_id, code)
            factor_store.put_codes(user_id, _hashes(codes))
            audit_user(principal, "user.recovery_codes", user_id, principal.email)

        await self._attempt(principal, write)
        return codes

    async def turn_off(self, principal: Principal, code: str) -> None:
        """Ask for no code any more.

        Raises:
            FactorNotFoundError: It is not on.
            WrongCodeError: The code is neither the app's nor a recovery code.
            TooManyAttemptsError: It was wrong too often.
        """

        def write(user_id: int) -> None:
            self.check(user_id, code)
            factor_store.remove(user_id)
            audit_user(principal, "user.totp_off", user_id, principal.email)

        await self._attempt(principal, write)

    async def reset(self, principal: Principal, user_id: int) -> None:
        """Turn it off for somebody who lost app and codes, on an administrator's word.

        Raises:
            NotAllowedError: The principal is no administrator.
            UserNotFoundError: There is nobody of this number.
            FactorNotFoundError: They have none.
        """
        require_administer(principal)

        def write() -> None:
            user = existing(user_id)
            if not factor_store.remove(user_id):
                raise _none()
            audit_user(principal, "user.totp_reset", user_id, user.email)

        await self._database.run(write)

    def check(self, user_id: int, code: str) -> None:
        """Use up a code of the app, or a recovery code; runs inside ``database.run``.

        Raises:
            FactorNotFoundError: It is not on.
            WrongCodeError: It is neither, or was used.
        """
        if not is_on(user_id):
            raise _none()
        if not factor_store.take_code(user_id, key_hash(totp.normal(code))):
            self._take(user_id, code)

    def _take(self, user_id: int, code: str) -> None:
        found = factor_store.get(user_id)
        if found is None:
            raise _none()
        secret = self._sealer.unseal(found.secret, _purpose(user_id))
        step = totp.step_of(secret, code, now())
        if step is None or not factor_store.take_step(user_id, step):
            raise WrongCodeError(
                "The code is not right, or was used.",
                hint="Wait for the next one of your app; check the clock of its device.",
            )

    async def _attempt(
        self, principal: Principal, write: Callable[[int], None]
    ) -> None:
        """Do what a code is shown for, counting wrong ones apart from those at sign-in."""
        user_id = _whole_person(principal)
        subject = attempts.email_subject(f"code:{principal.email}")
        attempt = await self._database.run(attempts.begin, subject)

        def both() -> None:
            write(user_id)
            attempts.was_right(attempt)

        await self._database.run(both)


def is_on(user_id: int) -> bool:
    """Return whether a person is asked for a code; runs inside ``database.run``."""
    found = factor_store.get(user_id)
    return found is not None and found.confirmed_at is not None


def _whole_person(principal: Principal) -> int:
    require_whole(principal, "change the second factor")
    return person_of(principal)


def _hashes(codes: list[str]) -> list[bytes]:
    return [key_hash(totp.normal(code)) for code in codes]


def _none() -> FactorNotFoundError:
    return FactorNotFoundError("There is no second factor.")


def _purpose(user_id: int) -> str:
    return f"totp:{user_id}"
