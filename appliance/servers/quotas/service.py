"""Quotas on behalf of a principal: one's own, an organisation's, and for administrators everybody's."""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.accounts.access import require_administer
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs.allowed import allowed_org
from appliance.accounts.people import existing
from appliance.accounts.persons import person_of
from appliance.infra.database import Database
from appliance.observability.audit import record
from appliance.servers.quotas import rules, store
from appliance.servers.quotas.model import (
    BOX,
    Changes,
    Limit,
    QuotaKind,
    Standard,
    Standing,
)
from appliance.servers.quotas.standing import hold, standing, standings


class QuotaService:
    """What somebody may have of build minutes and disk, and has."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def own(self, principal: Principal) -> Standing:
        """Return the principal's own.

        Raises:
            NotAllowedError: They are no person.
        """
        return await self._database.run(standing, person_of(principal))

    async def of_person(self, principal: Principal, user_id: int) -> Standing:
        """Return somebody's, for administrators.

        Raises:
            UserNotFoundError: There is nobody of this number.
        """
        require_administer(principal)
        return await self._database.run(lambda: standing(existing(user_id).id))

    async def of_people(
        self, principal: Principal, user_ids: Sequence[int]
    ) -> Mapping[int, Standing]:
        """Return those of many people, for administrators."""
        require_administer(principal)
        return await self._database.run(standings, user_ids)

    async def of_org(self, principal: Principal, org: int | str) -> Standing:
        """Return an organisation's, for whoever may see it.

        Raises:
            OrgNotFoundError: They may not know of it.
        """
        return await self._database.run(
            lambda: standing(-allowed_org(principal, org, Action.SEE).id)
        )

    async def change_person(
        self, principal: Principal, user_id: int, changes: Changes
    ) -> Standing:
        """Say how much somebody may have, for administrators.

        Raises:
            InvalidError: An amount is out of bounds.
            UserNotFoundError: There is nobody of this number.
        """
        require_administer(principal)
        rules.check(changes)
        return await self._database.run(
            lambda: _change(principal, existing(user_id).id, changes)
        )

    async def change_org(
        self, principal: Principal, org: int | str, changes: Changes
    ) -> Standing:
        """Say how much an organisation may have, for administrators.

        Raises:
            InvalidError: An amount is out of bounds.
            OrgNotFoundError: They may not know of it.
        """
        rules.check(changes)

        def write() -> Standing:
            found = allowed_org(principal, org, Action.ADMINISTER)
            return _change(principal, -found.id, changes)

        return await self._database.run(write)

    async def set_defaults(self, defaults: Mapping[QuotaKind, int | None]) -> None:
        """Keep what the box's settings say, for everybody of whom nothing else is said."""

        def write() -> None:
            for kind, amount in defaults.items():
                store.set_limit(BOX, kind, amount, by="settings")

        await self._database.run(write)


def _change(principal: Principal, owner: int, changes: Changes) -> Standing:
    hold(owner)
    before = store.limits([owner])[owner]
    for kind, wanted in changes.items():
        store.set_limit(owner, kind, wanted, by=principal.name)
    after = store.limits([owner])[owner]
    seen = standing(owner)
    if before != after:
        what = "org" if owner < 0 else "user"
        record(
            principal,
            f"{what}.set_quota",
            object_type=what,
            object_id=abs(owner),
            object_name=seen.name,
            before=_told(before),
            after=_told(after),
        )
    return seen


def _told(limits: Mapping[QuotaKind, Limit]) -> dict[str, Any]:
    return {
        kind.value: Standard.DEFAULT.value if limit.is_default else limit.amount
        for kind, limit in limits.items()
    }
