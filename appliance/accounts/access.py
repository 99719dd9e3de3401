"""Who may do what: the one place that decides. Pure; denies whatever no table allows.

    can(principal, Action.DEPLOY, Thing(Kind.SERVER, id=5, owner_id=2, org_id=7))

A thing belongs to a person (``owner_id``) or, where ``org_id`` is set, to an organisation, and then its ``owner_id`` only
says who brought it. Whoever may do nothing at all with a thing must not learn that it exists (``HIDDEN``, 404); whoever
may do something with it, but not this, is told so (``FORBIDDEN``, 403).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol, TypeVar

from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Action, MemberRole, Principal, Role
from appliance.core.errors import DomainError

_NOTHING: frozenset[Action] = frozenset()
_EVERYTHING = frozenset(Action)


class Kind(StrEnum):
    """What a thing is."""

    SERVER = "server"
    BUNDLE = "bundle"
    #: A run in the ledger; it belongs to whom its server belongs to.
    ARTIFACT = "artifact"
    #: What decides about versions, and a run of it.
    WORKFLOW = "workflow"
    #: Along which versions are promoted, and what is promoted along it.
    TRACK = "track"
    ORG = "organisation"
    #: One that acts for an organisation; a person's own keys are that person's alone.
    KEY = "key"
    #: The appliance itself.
    BOX = "box"


class Verdict(Enum):
    """What is decided."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    HIDDEN = "hidden"


@dataclass(frozen=True)
class Thing:
    """What somebody wants to do something with."""

    kind: Kind
    #: ``None``: there is none yet, or there is only one.
    id: int | None = None
    owner_id: int | None = None
    org_id: int | None = None
    #: The server that it is, or that it is about.
    server_id: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether everybody knows that there is such a thing: the box, and what one is about to make of one's own."""
        return self.kind is Kind.BOX or (self.id is None and self.org_id is None)


class Owned(Protocol):
    """What says which thing it is."""

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what."""
        ...


_Owned = TypeVar("_Owned", bound=Owned)

BOX = Thing(Kind.BOX)

#: What an organisation's members may do with what belongs to it.
_OF_MEMBERS: Mapping[MemberRole, frozenset[Action]] = {
    MemberRole.READER: frozenset({Action.SEE, Action.CALL}),
    MemberRole.DEPLOYER: frozenset({Action.SEE, Action.CALL, Action.DEPLOY}),
    MemberRole.MAINTAINER: frozenset(
        {
            Action.SEE,
            Action.CALL,
            Action.DEPLOY,
            Action.CHANGE,
            Action.CREATE,
            Action.DELETE,
        }
    ),
    MemberRole.OWNER: frozenset(
        {
            Action.SEE,
            Action.CALL,
            Action.DEPLOY,
            Action.CHANGE,
            Action.CREATE,
            Action.DELETE,
            Action.TRANSFER,
        }
    ),
}
#: What its members may do with the organisation itself.
_WITH_ORG: Mapping[MemberRole, frozenset[Action]] = {
    MemberRole.READER: frozenset({Action.SEE}),
    MemberRole.DEPLOYER: frozenset({Action.SEE}),
    MemberRole.MAINTAINER: frozenset({Action.SEE}),
    MemberRole.OWNER: frozenset(
        {Action.SEE, Action.CHANGE, Action.DELETE, Action.MANAGE}
    ),
}
#: What people may do with what belongs to themselves.
_OF_ONES_OWN = _OF_MEMBERS[MemberRole.OWNER]


def can(principal: Principal, action: Action, thing: Thing) -> Verdict:
    """Decide whether somebody may do something with a thing."""
    allowed = actions(principal, thing)
    if action in allowed:
        return Verdict.ALLOWED
    return Verdict.FORBIDDEN if allowed or thing.is_known else Verdict.HIDDEN


def may(principal: Principal, action: Action, thing: Thing) -> bool:
    """Return whether somebody may do something with a thing."""
    return action in actions(principal, thing)


def actions(principal: Principal, thing: Thing) -> frozenset[Action]:
    """Return all that somebody may do with a thing."""
    standing, scope = _by_standing(principal, thing), principal.scope
    if scope is None:
        return standing
    if scope.servers is not None and thing.server_id not in scope.servers:
        return _NOTHING
    return standing if scope.actions is None else standing & scope.actions


def require(
    principal: Principal, action: Action, thing: Thing, hidden: DomainError
) -> None:
    """Raise unless somebody may do something with a thing.

    Args:
        principal: Who.
        action: What.
        thing: With what.
        hidden: What those are told who may not know of it: the same as if there were none.

    Raises:
        NotAllowedError: They may know of it, and not do this.
        DomainError: ``hidden``.
    """
    verdict = can(principal, action, thing)
    if verdict is Verdict.HIDDEN:
        raise hidden
    if verdict is Verdict.FORBIDDEN:
        raise _refusal(principal, action, thing)


def require_found(
    principal: Principal, action: Action, found: _Owned | None, hidden: DomainError
) -> _Owned:
    """Return what was looked for, if there is such a thing and somebody may do something with it.

    Args:
        principal: Who.
        action: What.
        found: With what; ``None``: there is none.
        hidden: What those are told who may not know of it, and everybody where there is none.

    Raises:
        NotAllowedError: They may know of it, and not do this.
        DomainError: ``hidden``.
    """
    if found is None:
        raise hidden
    require(principal, action, found.thing, hidden)
    return found


def require_known(principal: Principal, action: Action, thing: Thing) -> None:
    """Raise ``NotAllowedError`` unless somebody may do something with a thing that they know of anyway."""
    if not may(principal, action, thing):
        raise _refusal(principal, action, thing)


def require_administer(principal: Principal) -> None:
    """Raise ``NotAllowedError`` unless the principal administers the box."""
    require_known(principal, Action.ADMINISTER, BOX)


def require_sight(principal: Principal) -> None:
    """Raise ``NotAllowedError`` if somebody came with a credential that sees nothing, and so can be shown no page."""
    scope = principal.scope
    if scope and scope.actions is not None and Action.SEE not in scope.actions:
        raise NotAllowedError(
            "This key sees nothing, and a page shows something.",
            hint="Use the API, or a key that may see.",
        )


def new_of(principal: Principal, kind: Kind, org_id: int | None = None) -> Thing:
    """Return what somebody is about to make: their own, or an organisation's."""
    return Thing(kind, owner_id=principal.user_id, org_id=org_id)


def may_create(principal: Principal) -> bool:
    """Return whether somebody may add servers anywhere: for themselves or for an organisation."""
    places = [None, *principal.memberships]
    return principal.user_id is not None and any(
        may(principal, Action.CREATE, new_of(principal, Kind.SERVER, place))
        for place in places
    )


def require_may_create(principal: Principal) -> int:
    """Return who will have brought what the principal adds.

    Raises:
        NotAllowedError: They may add servers nowhere.
    """
    if principal.user_id is None or not may_create(principal):
        raise _refusal(principal, Action.CREATE, new_of(principal, Kind.SERVER))
    return principal.user_id


@dataclass(frozen=True)
class Sight:
    """What lists may show somebody: ``covers`` is ``can(…, SEE, …)`` in a shape that queries can be made of."""

    everything: bool = False
    #: Whose own things; ``None``: nobody's.
    user_id: int | None = None
    org_ids: frozenset[int] = frozenset()
    #: Only what is about these servers; ``None``: about any.
    servers: frozenset[int] | None = None

    def covers(self, thing: Thing) -> bool:
        """Return whether a thing that belongs to a person or an organisation may be shown."""
        if self.servers is not None and thing.server_id not in self.servers:
            return False
        if self.everything:
            return True
        if thing.org_id is not None:
            return thing.org_id in self.org_ids
        return self.user_id is not None and thing.owner_id == self.user_id


def sight(principal: Principal) -> Sight:
    """Return what lists may show somebody."""
    scope = principal.scope
    if scope and scope.actions is not None and Action.SEE not in scope.actions:
        return Sight()
    servers = scope.servers if scope else None
    if principal.role in {Role.ADMIN, Role.READER}:
        return Sight(everything=True, servers=servers)
    return Sight(
        user_id=principal.user_id,
        org_ids=frozenset(principal.memberships),
        servers=servers,
    )


def _by_standing(principal: Principal, thing: Thing) -> frozenset[Action]:
    """Return what somebody may do by what they are to a thing, with whatever they came."""
    if principal.role is Role.ADMIN:
        return _EVERYTHING
    if principal.role is Role.READER:
        return frozenset({Action.SEE})
    if thing.kind is Kind.BOX:
        return _NOTHING
    if thing.org_id is not None:
        table = _WITH_ORG if thing.kind is Kind.ORG else _OF_MEMBERS
        member = principal.memberships.get(thing.org_id)
        return _NOTHING if member is None else table[member]
    is_own = thing.owner_id is not None and thing.owner_id == principal.user_id
    return _OF_ONES_OWN if is_own else _NOTHING


def _refusal(principal: Principal, action: Action, thing: Thing) -> NotAllowedError:
    what = f"{action.value} this {thing.kind.value}"
    if thing.kind is Kind.BOX:
        what = (
            "administer this box"
            if action is Action.ADMINISTER
            else f"{action.value} this"
        )
    if thing.id is None and action is Action.CREATE:
        what = f"add a {thing.kind.value}"
    if principal.scope is not None and action in _by_standing(principal, thing):
        return NotAllowedError(
            f"This key may not {what}.",
            hint="It is narrowed to less; use another one, or change what it may do.",
        )
    member = principal.memberships.get(thing.org_id) if thing.org_id else None
    role = member.value if member else principal.role.value
    return NotAllowedError(
        f"The role {role} may not {what}.",
        hint="Ask an owner of the organisation."
        if member
        else "Ask an administrator of this box.",
    )
