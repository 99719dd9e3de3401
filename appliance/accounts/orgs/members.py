"""Who belongs to an organisation, and what they are in it, on behalf of a principal."""

from appliance.accounts.model import Action, MemberRole, Principal
from appliance.accounts.orgs import store
from appliance.accounts.orgs.allowed import allowed_org
from appliance.accounts.orgs.errors import LastOwnerError, MembershipNotFoundError
from appliance.accounts.orgs.model import Member, Org
from appliance.accounts.orgs.trail import audit_org
from appliance.core.errors import InvalidError
from appliance.infra.database import Database


class MemberService:
    """The members of organisations; refusals are those of ``OrgService``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def list(self, principal: Principal, org: int | str) -> list[Member]:
        """Return who belongs to an organisation, by address."""
        return await self._database.run(
            lambda: store.members(allowed_org(principal, org, Action.SEE).id)
        )

    async def add(
        self, principal: Principal, org: int | str, email: str, role: MemberRole
    ) -> Member:
        """Take somebody of this box into an organisation, or change what they are in it.

        Raises:
            InvalidError: Nobody here has the address.
            LastOwnerError: They are its only owner, and would not be any more.
        """

        def write() -> Member:
            found = allowed_org(principal, org, Action.MANAGE)
            user_id = store.person(email.strip())
            if user_id is None:
                raise InvalidError.field(
                    "email",
                    "nobody here has this address; invite them by a link, or have an administrator add them",
                )
            return self._set(principal, found, user_id, role)

        return await self._database.run(write)

    async def change(
        self, principal: Principal, org: int | str, user_id: int, role: MemberRole
    ) -> Member:
        """Change what somebody is in an organisation.

        Raises:
            MembershipNotFoundError: They do not belong to it.
            LastOwnerError: They are its only owner, and would not be any more.
        """

        def write() -> Member:
            found = allowed_org(principal, org, Action.MANAGE)
            _member(found, user_id)
            return self._set(principal, found, user_id, role)

        return await self._database.run(write)

    async def remove(self, principal: Principal, org: int | str, user_id: int) -> None:
        """Let somebody go; everybody may go themselves. What they brought stays the organisation's.

        Raises:
            MembershipNotFoundError: They do not belong to it.
            LastOwnerError: They are its only owner.
        """

        def write() -> None:
            is_leaving = user_id == principal.user_id and principal.scope is None
            needed = Action.SEE if is_leaving else Action.MANAGE
            found = allowed_org(principal, org, needed)
            store.lock(found.id)
            gone = _member(found, user_id)
            _keep_an_owner(found, gone, None)
            store.remove_member(found.id, user_id)
            action = "org.leave" if is_leaving else "org.remove_member"
            audit_org(principal, action, found, {"member": gone.email, "was": gone.role.value})  # fmt: skip

        await self._database.run(write)

    def _set(
        self, principal: Principal, org: Org, user_id: int, role: MemberRole
    ) -> Member:
        store.lock(org.id)
        before = store.member(org.id, user_id)
        if before is None:
            store.add_member(org.id, user_id, role, added_by=principal.name)
        else:
            _keep_an_owner(org, before, role)
            store.set_role(org.id, user_id, role)
        after = _member(org, user_id)
        told = {"member": after.email, "role": role.value}
        if before:
            told["was"] = before.role.value
        audit_org(principal, "org.set_member", org, told)
        return after


def is_last_owner(org: Org, member: Member) -> bool:
    """Return whether nobody but ``member`` owns the organisation; runs inside ``database.run``."""
    if member.role is not MemberRole.OWNER:
        return False
    return [item.role for item in store.members(org.id)].count(MemberRole.OWNER) == 1


def _member(org: Org, user_id: int) -> Member:
    found = store.member(org.id, user_id)
    if found is None:
        raise MembershipNotFoundError(f"{org.name} has no member {user_id}.")
    return found


def _keep_an_owner(org: Org, changed: Member, role: MemberRole | None) -> None:
    if role is not MemberRole.OWNER and is_last_owner(org, changed):
        raise LastOwnerError(
            f"{changed.email} is the only owner of {org.name}.",
            hint="Make somebody else an owner first.",
        )
