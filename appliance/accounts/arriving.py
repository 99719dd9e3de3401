"""What happens when a provider sends somebody: who that is here, and what they become; runs inside ``database.run``."""

from appliance.accounts import identity_store, store
from appliance.accounts.admission import Rules, Way, memberships_of, role_of, way_of
from appliance.accounts.errors import NotAdmittedError
from appliance.accounts.identity_links import link
from appliance.accounts.model import SYSTEM, Arrival, Identity, Role, User
from appliance.accounts.orgs import by_group
from appliance.accounts.people import add_person, existing
from appliance.accounts.persons import audit_user, check_email
from appliance.core.errors import InvalidError
from appliance.observability.audit import Outcome, record


def identity_of(arrival: Arrival, rules: Rules) -> Identity:
    """Return whom the provider means, linked or added on the way.

    Raises:
        NotAdmittedError: They are not let in.
    """
    found = identity_store.find(arrival.issuer, arrival.subject)
    linked = existing(found.user_id) if found else None
    of_email = store.find_user(arrival.email) if arrival.email else None
    way = way_of(
        arrival,
        rules,
        linked=linked,
        addressee=of_email[0] if of_email else None,
    )
    if way is Way.KNOWN and found is not None:
        return found
    if way is Way.LINK and of_email is not None:
        return link(SYSTEM, of_email[0], arrival)
    return link(SYSTEM, _added(arrival, rules), arrival)


def _added(arrival: Arrival, rules: Rules) -> User:
    role = role_of(arrival.groups, rules, None)
    if role is not Role.ADMIN and store.count_admins() == 0:
        raise NotAdmittedError(
            "This box has no administrator yet.",
            hint="Whoever runs it registers first, with a password.",
        )
    try:
        email = check_email(arrival.email)
    except InvalidError as error:
        raise NotAdmittedError(
            f"The address that {rules.name} tells of you is none."
        ) from error
    return add_person(SYSTEM, email, None, role)


def as_grouped(user: User, arrival: Arrival, rules: Rules) -> User:
    """Make role and organisations what the groups say; return the person as they are then."""
    by_group.apply(user.id, memberships_of(arrival.groups, rules))
    role = role_of(arrival.groups, rules, user.role)
    if role is user.role:
        return user
    named = {group for group, _ in rules.roles}
    details = {"provider": arrival.issuer, "groups": sorted(arrival.groups & named)}
    if _is_last_admin(user):
        details["wanted"] = role.value
        audit_user(SYSTEM, "user.role_kept", user.id, user.email, details=details)
        return user
    store.change_user(user.id, role=role.value)
    audit_user(
        SYSTEM,
        "user.set_role",
        user.id,
        user.email,
        details=details,
        before={"role": user.role.value},
        after={"role": role.value},
    )
    return existing(user.id)


def note_refusal(arrival: Arrival, why: str) -> None:
    """Write into the trail that somebody came by a provider and was sent away."""
    details = {"provider": arrival.issuer, "subject": arrival.subject, "why": why}
    record(
        SYSTEM,
        "session.create",
        object_type="user",
        object_name=arrival.email[:254],
        outcome=Outcome.DENIED,
        details=details,
    )


def _is_last_admin(user: User) -> bool:
    """Whether, without this one, no administrator would be left, or none who can come without the provider."""
    if user.role is not Role.ADMIN:
        return False
    others = [
        item
        for item in store.users()
        if item.role is Role.ADMIN and not item.disabled_at and item.id != user.id
    ]
    return not others or (
        user.has_password and not any(item.has_password for item in others)
    )
