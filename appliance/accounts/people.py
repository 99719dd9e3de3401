"""The people of the box, on an administrator's word."""

from appliance.accounts import store
from appliance.accounts.access import require_administer
from appliance.accounts.model import Principal, Role, User
from appliance.accounts.passwords import Passwords, check_strength
from appliance.accounts.persons import audit_user, check_email
from appliance.infra.database import Database


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
        return await self._database.run(store.users)


def add_person(principal: Principal, email: str, hashed: str, role: Role) -> User:
    """Insert somebody, with a line in the trail; runs inside ``database.run``.

    Raises:
        EmailTakenError: Somebody has the address.
    """
    user = store.add_user(email, hashed, role)
    audit_user(principal, "user.create", user.id, email)
    return user
