"""To whom something new belongs, and whether there is room for it. Runs inside ``database.run``."""

from appliance.accounts.access import Kind, Verdict, can, new_of, require_known
from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs import store
from appliance.accounts.orgs.errors import QuotaReachedError
from appliance.accounts.orgs.model import Org, Owner
from appliance.core.errors import InvalidError
from appliance.observability.audit import record


def new_owner(
    principal: Principal, kind: Kind, org: int | str | None, *, field: str = "org"
) -> Owner:
    """Return to whom the principal's new thing belongs; nobody else's are added to them until the transaction ends.

    Args:
        principal: Who makes it.
        kind: What it is.
        org: The organisation that it is made for; ``None``: themselves.
        field: What the form calls ``org``.

    Raises:
        InvalidError: They know of no such organisation.
        NotAllowedError: They may not make such things there.
    """
    if principal.user_id is None:
        raise NotAllowedError(
            f"{principal.name} owns nothing.", hint="Use a person's key."
        )
    if org is None:
        require_known(principal, Action.CREATE, new_of(principal, kind))
        return owner_of_person(principal.user_id)
    found = store.find(org)
    if found is not None:
        thing = new_of(principal, kind, found.id)
        if can(principal, Action.CREATE, thing) is not Verdict.HIDDEN:
            require_known(principal, Action.CREATE, thing)
            return owner_of_org(found, principal.user_id)
    raise InvalidError.field(field, f"there is no organisation {org}")


def recipient(
    principal: Principal, kind: Kind, *, org: int | str | None, email: str
) -> Owner:
    """Return to whom the principal may give something: an organisation, themselves, or, as an administrator, anybody.

    Args:
        principal: Who gives.
        kind: What it is.
        org: An organisation, by number or name.
        email: Of a person; empty, and no organisation: the principal themselves.

    Raises:
        InvalidError: There is no such organisation or person, or both are given.
        NotAllowedError: They may not bring such things there.
    """
    if org is not None and email:
        raise InvalidError.field("user", "give either an organisation or a person")
    if org is not None or not email or email.lower() == principal.email.lower():
        return new_owner(principal, kind, org)
    if not principal.is_admin:
        raise NotAllowedError(
            "Only an administrator of this box gives something to another person.",
            hint="Transfer it to an organisation that you both belong to.",
        )
    user_id = store.person(email)
    if user_id is None:
        raise InvalidError.field("user", "nobody here has this address")
    return owner_of_person(user_id)


def owner_of(owner_id: int, org_id: int | None) -> Owner:
    """Return to whom something belongs now."""
    if org_id is None:
        return owner_of_person(owner_id)
    return owner_of_org(store.get(org_id), owner_id)


def record_transfer(
    principal: Principal,
    kind: Kind,
    thing_id: int,
    name: str,
    *,
    before: Owner,
    after: Owner,
) -> None:
    """Write into the trail that something was given away: of the thing, and of either organisation."""
    told = {"from": before.name, "to": after.name}
    record(
        principal,
        f"{kind.value}.transfer",
        object_type=kind.value,
        object_id=thing_id,
        object_name=name,
        details=told,
    )
    for side, action in ((before, "org.gave"), (after, "org.received")):
        if side.org_id is not None:
            record(
                principal,
                action,
                object_type="org",
                object_id=side.org_id,
                object_name=side.name,
                details={kind.value: name, **told},
            )


def owner_of_person(user_id: int) -> Owner:
    """Return a person as an owner; the row is held until the transaction ends, so that two at once are counted."""
    return store.locked_person(user_id)


def owner_of_org(org: Org, brought_by: int) -> Owner:
    """Return an organisation as an owner; the row is held until the transaction ends, so that two at once are counted."""
    store.lock(org.id)
    quota = store.get(org.id).server_quota
    return Owner(brought_by, org.id, org.name, quota)


def require_room(owner: Owner, used: int) -> None:
    """Raise unless one more server may belong to an owner.

    Args:
        owner: Of the new one.
        used: How many belong to them now.

    Raises:
        QuotaReachedError: It would be one too many.
    """
    if owner.server_quota is None or used < owner.server_quota:
        return
    whose = f"The organisation {owner.name} has" if owner.org_id else "You have" if used else "There are"  # fmt: skip
    raise QuotaReachedError(
        f"{whose} {used} of {owner.server_quota} servers that are allowed.",
        hint="Delete one, or ask an administrator of this box for more.",
    )
