"""What people do with organisations: found them, find them, change and delete them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from appliance.accounts.access import (
    Kind,
    Thing,
    may,
    new_of,
    require_administer,
    require_known,
    sight,
)
from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Action, MemberRole, Principal
from appliance.accounts.orgs import store
from appliance.accounts.orgs.allowed import allowed_org
from appliance.accounts.orgs.errors import OrgNotEmptyError, OrgNotFoundError
from appliance.accounts.orgs.members import MemberService
from appliance.accounts.orgs.model import Holdings, Org, OrgView
from appliance.accounts.orgs.trail import audit_org
from appliance.core.errors import InvalidError
from appliance.core.names import check_label
from appliance.infra.database import Database

MAX_TITLE = 100
MAX_QUOTA = 1_000_000

#: Tells what belongs to an organisation; runs inside ``database.run``.
Holds = Callable[[int], Holdings]


class OrgService:
    """Organisations on behalf of a principal; one is named by its number or its name.

    Whoever may not know of an organisation gets ``OrgNotFoundError``, whoever may see but not change it
    ``NotAllowedError``. An organisation always keeps an owner. ``members`` is what is done with those who belong to one.

    Args:
        holds: What belongs to an organisation.
    """

    def __init__(self, database: Database, *, holds: Holds) -> None:
        """Keep the collaborators."""
        self._database = database
        self._holds = holds
        self.members = MemberService(database)

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
            audit_org(principal, "org.create", made)
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
                audit_org(principal, "org.change", found, before=was, after=columns)
            return self._views(principal, [store.get(found.id)])[0]

        return await self._database.run(write)

    async def delete(self, principal: Principal, org: int | str) -> None:
        """Remove an organisation to which nothing belongs any more.

        Raises:
            OrgNotEmptyError: Servers, bundles, tracks or workflows belong to it; told which.
        """

        def write() -> None:
            found = allowed_org(principal, org, Action.DELETE)
            store.lock(found.id)
            held = self._holds(found.id)
            if not held.is_nothing:
                raise OrgNotEmptyError(
                    f"{found.name} still owns {held.told}.",
                    hint="Delete them; servers and bundles can be transferred to somebody else.",
                )
            store.delete(found.id)
            audit_org(principal, "org.delete", found)

        await self._database.run(write)

    # -- inside

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
