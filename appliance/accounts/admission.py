"""Who is let in on a provider's word, and as what. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from appliance.accounts.errors import NotAdmittedError
from appliance.accounts.model import Arrival, MemberRole, Role, User

_RANKS = tuple(MemberRole)


class Way(Enum):
    """How somebody comes to be a person of this box."""

    #: They are one by the provider's number for them.
    KNOWN = "known"
    #: They become the one who has their verified address.
    LINK = "link"
    CREATE = "create"


@dataclass(frozen=True)
class Rules:
    """What the settings say of people whom a provider sends."""

    #: What pages call the provider.
    name: str = "the provider"
    creates: bool = False
    links_by_email: bool = False
    #: Of verified addresses, in lower case; empty: any address, or none.
    domains: frozenset[str] = frozenset()
    #: Where no group gives one; ``None``: they are not let in.
    default_role: Role | None = Role.MEMBER
    #: By group; the first that fits counts. Empty: roles are given here.
    roles: tuple[tuple[str, Role], ...] = ()
    #: Organisations by group.
    orgs: tuple[tuple[str, str, MemberRole], ...] = ()


def way_of(
    arrival: Arrival, rules: Rules, *, linked: User | None, addressee: User | None
) -> Way:
    """Decide how somebody comes in.

    Args:
        arrival: Who comes.
        rules: What the settings say.
        linked: Who they are by the provider's number for them.
        addressee: Who has their address here.

    Raises:
        NotAdmittedError: They do not; what is wrong and what helps is said.
    """
    _check_domain(arrival, rules)
    if linked is not None:
        return Way.KNOWN
    if addressee is not None:
        if rules.links_by_email and arrival.is_verified:
            return Way.LINK
        raise NotAdmittedError(
            f"Somebody here has the address {arrival.email} already, and is not linked with {rules.name}.",
            hint="If that is you, sign in with your password and link it on your profile; or ask an administrator.",
        )
    if not rules.creates:
        raise NotAdmittedError(
            f"{rules.name} knows you, this box does not.",
            hint=f"Ask an administrator to add you and to link you with the subject {arrival.subject}.",
        )
    if not arrival.is_verified:
        raise NotAdmittedError(
            f"{rules.name} vouches for no e-mail address of yours, so no account can be made.",
            hint="Have your address verified there, or ask an administrator.",
        )
    return Way.CREATE


def _check_domain(arrival: Arrival, rules: Rules) -> None:
    if not rules.domains:
        return
    name, _, domain = arrival.email.lower().rpartition("@")
    if not name or not arrival.is_verified or domain not in rules.domains:
        raise NotAdmittedError(
            f"{rules.name} vouches for no address of yours that is of {', '.join(sorted(rules.domains))}.",
            hint="Sign in there with the account of your organisation.",
        )


def role_of(groups: Collection[str], rules: Rules, present: Role | None) -> Role:
    """Return what somebody is from now on.

    Args:
        groups: That the provider says they belong to.
        rules: What the settings say.
        present: What they are; ``None``: they are new.

    Raises:
        NotAdmittedError: No group of theirs lets them in.
    """
    if not rules.roles and present is not None:
        return present
    for group, role in rules.roles:
        if group in groups:
            return role
    if rules.default_role is None:
        raise NotAdmittedError(
            "None of your groups lets you in here.",
            hint=f"Ask whoever keeps the groups of {rules.name}, or an administrator.",
        )
    return rules.default_role


def memberships_of(
    groups: Collection[str], rules: Rules
) -> Mapping[str, MemberRole | None]:
    """Return what somebody is in each organisation that groups decide on; ``None``: nothing."""
    found: dict[str, MemberRole | None] = {}
    for group, org, role in rules.orgs:
        before = found.setdefault(org, None)
        if group in groups and (
            before is None or _RANKS.index(role) > _RANKS.index(before)
        ):
            found[org] = role
    return found
