"""What people do with organisations: found them, say who belongs to them, and how."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from appliance.accounts.access import (
    Kind,
    Thing,
    may,
    new_of,
    require,
    require_administer,
    require_known,
    sight,
)
from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Action, MemberRole, Principal
from appliance.accounts.orgs import store
from appliance.accounts.orgs.errors import (
    LastOwnerError,
    MembershipNotFoundError,
    OrgNotEmptyError,
    OrgNotFoundError,
)
from appliance.accounts.orgs.model import Holdings, Member, Org, OrgView
from appliance.core.errors import InvalidError
from appliance.core.names import check_label
from appliance.infra.database import Database
from appliance.observability.audit import record

MAX_TITLE = 100
MAX_QUOTA = 1_000_000

#: Tells what belongs to an organisation; runs inside ``database.run``.
Holds = Callable[[int], Holdings]


class OrgService:
    """Organisations on behalf of a principal; one is named by its number or its name.

    Whoever may not know of an organisation gets ``OrgNotFoundError``, whoever may see but not change it
    ``NotAllowedError``. An organisation always keeps an owner.

    Args:
        holds: What belongs to an organisation.
    """

    def __init__(self, database: Database, *, holds: Holds) -> None:
        """Keep the collaborators."""
        self._database = database
        self._holds = holds

    # -- reading

    async def page(
        self, principal: Principal, *, query: str = "", after: str = "", limit: int = 50
    ) -> list[OrgView]:
        """Return up to ``limit`` organisations that the principal may see, by name, from the first name after ``after``."""

        def read() -> list[OrgView]:
            seen = sight(principal)
            theirs = None if seen.everything else seen.org_ids
            if seen.servers is not None:
                theirs = frozenset()
            found = store.page(theirs, query=query, after=after, limit=limit)
            return self._views(principal, found)

        return await self._database.run(read)

    async def creatable(self, principal: Principal) -> list[Org]:
        """Return the organisations for which the principal may add servers and bundles."""

        def read() -> list[Org]:
            found = store.page(list(principal.memberships), query="", after="", limit=200)  # fmt: skip
            return [org for org in found if _may_add(principal, org)]

        return await self._database.run(read)

    async def names(self, org_ids: Sequence[int]) -> dict[int, str]:
        """Return what these organisations are called, for whoever sees something of theirs."""
        return await self._database.run(store.names, org_ids) if org_ids else {}

    async def get(self, principal: Principal, org: int | str) -> OrgView:
        """Return one organisation."""
        return await self._database.run(
            lambda: self._views(principal, [allowed_org(principal, org, Action.SEE)])[0]
        )

    async def of_new_member(self, principal: Principal, org_id: int) -> OrgView:
        """Return an organisation as somebody sees it who joined it with this request."""

        def read() -> OrgView:
            if principal.user_id is None:
                raise OrgNotFoundError(f"There is no organisation {org_id}.")
            joined = store.memberships(principal.user_id)
            now_member = replace(principal, memberships=joined)
            found = allowed_org(now_member, org_id, Action.SEE)
            return self._views(now_member, [found])[0]

        return await self._database.run(read)

    async def members(self, principal: Principal, org: int | str) -> list[Member]:
        """Return who belongs to an organisation, by address."""
        return await self._database.run(
            lambda: store.members(allowed_org(principal, org, Action.SEE).id)
        )

    # -- the organisation

    async def create(self, principal: Principal, name: str, title: str = "") -> OrgView:
        """Found an organisation; whoever does owns it.

        Raises:
            InvalidError: Name or title will not do.
            NotAllowedError: The principal may not, or has a quota that an organisation would lead around.
            OrgNameTakenError: Another one has the name.
        """
        check_label(name, example="data-team")
        title = check_title(title)

        def write() -> OrgView:
            require_known(principal, Action.CREATE, new_of(principal, Kind.ORG))
            founder = _person(principal)
            quota = store.locked_person(founder).server_quota
            if quota is not None and not principal.is_admin:
                raise NotAllowedError(
                    f"You may have {quota} servers, and an organisation would have its own.",
                    hint="Ask an administrator of this box to found it and to invite you.",
                )
            made = store.add(name, title, created_by=principal.name, server_quota=None)
            store.add_member(
                made.id, founder, MemberRole.OWNER, added_by=principal.name
            )
            _audit(principal, "org.create", made)
            return OrgView(made, MemberRole.OWNER, 1, Holdings())

        return await self._database.run(write)

    async def change(
        self,
        principal: Principal,
        org: int | str,
        *,
        title: str | None = None,
        server_quota: int | None = None,
        sets_quota: bool = False,
    ) -> OrgView:
        """Change what an organisation is called, or how many servers it may have.

        Args:
            principal: Who wants it.
            org: Which.
            title: ``None``: it stays.
            server_quota: ``None``: any number.
            sets_quota: Whether ``server_quota`` is given; administrators of the box alone may.

        Raises:
            InvalidError: The title is too long, or the quota out of bounds.
        """
        columns: dict[str, Any] = {}
        if title is not None:
            columns["title"] = check_title(title)
        if sets_quota:
            columns["server_quota"] = check_quota(server_quota)

        def write() -> OrgView:
            found = allowed_org(principal, org, Action.CHANGE)
            if sets_quota and server_quota != found.server_quota:
                require_administer(principal)
            if columns:
                store.change(found.id, **columns)
                was = {name: getattr(found, name) for name in columns}
                _audit(principal, "org.change", found, before=was, after=columns)
            return self._views(principal, [store.get(found.id)])[0]

        return await self._database.run(write)

    async def delete(self, principal: Principal, org: int | str) -> None:
        """Remove an organisation to which nothing belongs any more.

        Raises:
            OrgNotEmptyError: Servers or bundles belong to it.
        """

        def write() -> None:
            found = allowed_org(principal, org, Action.DELETE)
            store.lock(found.id)
            held = self._holds(found.id)
            if not held.is_nothing:
                raise OrgNotEmptyError(
                    f"{held.servers} servers and {held.bundles} bundles belong to {found.name}.",
                    hint="Delete them, or transfer them to somebody else.",
                )
            store.delete(found.id)
            _audit(principal, "org.delete", found)

        await self._database.run(write)

    # -- members

    async def set_member(
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

    async def change_member(
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

    async def remove_member(
        self, principal: Principal, org: int | str, user_id: int
    ) -> None:
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
            _audit(principal, action, found, {"member": gone.email, "was": gone.role.value})  # fmt: skip

        await self._database.run(write)

    # -- inside

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
        _audit(principal, "org.set_member", org, told)
        return after

    def _views(self, principal: Principal, orgs: Sequence[Org]) -> list[OrgView]:
        counts = store.counts([org.id for org in orgs])
        return [
            OrgView(
                org,
                principal.memberships.get(org.id),
                counts.get(org.id, 0),
                self._holds(org.id),
            )
            for org in orgs
        ]


def allowed_org(principal: Principal, org: int | str, action: Action) -> Org:
    """Return an organisation with which the principal may do something; runs inside ``database.run``.

    Raises:
        OrgNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not do this.
    """
    found = store.find(org)
    missing = OrgNotFoundError(f"There is no organisation {org}.")
    if found is None:
        raise missing
    require(principal, action, found.thing, missing)
    return found


def check_title(title: str) -> str:
    """Return the title as it is stored.

    Raises:
        InvalidError: It is too long.
    """
    title = " ".join(title.split())
    if len(title) > MAX_TITLE:
        raise InvalidError.field("title", f"use at most {MAX_TITLE} characters")
    return title


def check_quota(quota: int | None) -> int | None:
    """Return the quota.

    Raises:
        InvalidError: It is out of bounds.
    """
    if quota is not None and not 0 <= quota <= MAX_QUOTA:
        raise InvalidError.field(
            "server_quota", f"give 0 to {MAX_QUOTA:,} servers, or nothing"
        )
    return quota


def _may_add(principal: Principal, org: Org) -> bool:
    return may(principal, Action.CREATE, Thing(Kind.SERVER, org_id=org.id))


def _person(principal: Principal) -> int:
    if principal.user_id is None:
        raise NotAllowedError(
            f"{principal.name} is no person.", hint="Use a person's key."
        )
    return principal.user_id


def _member(org: Org, user_id: int) -> Member:
    found = store.member(org.id, user_id)
    if found is None:
        raise MembershipNotFoundError(f"{org.name} has no member {user_id}.")
    return found


def _keep_an_owner(org: Org, changed: Member, role: MemberRole | None) -> None:
    if changed.role is not MemberRole.OWNER or role is MemberRole.OWNER:
        return
    owners = [item for item in store.members(org.id) if item.role is MemberRole.OWNER]
    if len(owners) == 1:
        raise LastOwnerError(
            f"{changed.email} is the only owner of {org.name}.",
            hint="Make somebody else an owner first.",
        )


def _audit(
    principal: Principal,
    action: str,
    org: Org,
    details: dict[str, Any] | None = None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    record(
        principal,
        action,
        object_type="org",
        object_id=org.id,
        object_name=org.name,
        details=details,
        before=before,
        after=after,
    )
