"""Who belongs to which organisation, as the groups of a provider say; runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.accounts.model import SYSTEM, MemberRole
from appliance.accounts.orgs import store
from appliance.accounts.orgs.members import is_last_owner
from appliance.accounts.orgs.model import Org
from appliance.accounts.orgs.trail import audit_org

#: Who took them in. Whom people took in, groups never lower nor remove.
BY_GROUP = "groups of the provider"


def apply(user_id: int, wanted: Mapping[str, MemberRole | None]) -> None:
    """Make a person in each organisation what their groups say; organisations that there are not are left out.

    Args:
        user_id: Who.
        wanted: By the organisation's name; ``None``: no group of theirs is for it.
    """
    for name, role in wanted.items():
        org = store.find(name)
        if org is not None:
            store.lock(org.id)
            _apply(org, user_id, role)


def _apply(org: Org, user_id: int, role: MemberRole | None) -> None:
    before = store.member(org.id, user_id)
    if before is None:
        if role is not None:
            store.add_member(org.id, user_id, role, added_by=BY_GROUP)
            _tell("org.set_member", org, user_id, role=role.value)
    elif before.added_by == BY_GROUP and before.role is not role:
        if is_last_owner(org, before):
            return
        if role is None:
            store.remove_member(org.id, user_id)
            _tell("org.remove_member", org, user_id, was=before.role.value)
        else:
            store.set_role(org.id, user_id, role)
            _tell(
                "org.set_member", org, user_id, role=role.value, was=before.role.value
            )


def _tell(action: str, org: Org, user_id: int, **details: Any) -> None:
    told = {"user_id": user_id, "by": BY_GROUP, **details}
    audit_org(SYSTEM, action, org, told)
