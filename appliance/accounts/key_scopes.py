"""What a key is narrowed to, as a column, and what it may be narrowed to. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Action, MemberRole, Principal, Scope
from appliance.core.errors import InvalidError

#: More than anybody picks by hand.
MAX_SERVERS = 200
#: What a key of the role reader may do: look.
READER = Scope(frozenset({Action.SEE}))
_RANKS = tuple(MemberRole)


def packed(scope: Scope | None) -> dict[str, Any] | None:
    """Return ``scope`` as the column keeps it, which the gateway reads too."""
    if scope is None:
        return None
    return {
        "actions": None if scope.actions is None else sorted(scope.actions),
        "servers": None if scope.servers is None else sorted(scope.servers),
    }


def unpacked(column: Mapping[str, Any] | None) -> Scope | None:
    """Return what the column keeps; actions that this version does not know allow nothing."""
    if column is None:
        return None
    actions, servers = column.get("actions"), column.get("servers")
    known = frozenset(Action) & frozenset(actions or ())
    return Scope(
        None if actions is None else known,
        None if servers is None else frozenset(servers),
    )


def scope_of(
    actions: Sequence[Action] | None, servers: Sequence[int] | None
) -> Scope | None:
    """Return the scope of these actions and servers; what is absent is not narrowed.

    Raises:
        InvalidError: One of them is empty, so that the key would be good for nothing, or there are too many servers.
    """
    if actions is None and servers is None:
        return None
    if actions is not None and not actions:
        raise InvalidError.field("actions", "name one at least, or leave it out")
    if servers is not None and not 0 < len(servers) <= MAX_SERVERS:
        raise InvalidError.field(
            "servers", f"name 1 to {MAX_SERVERS}, or leave it out for all"
        )
    return Scope(
        None if actions is None else frozenset(actions),
        None if servers is None else frozenset(servers),
    )


def require_whole(principal: Principal, what: str) -> None:
    """Raise ``NotAllowedError`` if somebody came with less than all that is theirs: it must not make more of itself."""
    if principal.scope is not None or principal.via == "token":
        raise NotAllowedError(
            f"With a narrowed key or a token nobody may {what}.",
            hint="Sign in, or use a key that is not narrowed.",
        )


def require_rank(principal: Principal, org_id: int, role: MemberRole) -> None:
    """Raise ``NotAllowedError`` if a key would be more in the organisation than whoever makes it."""
    own = principal.memberships.get(org_id)
    if principal.is_admin or (own and _RANKS.index(role) <= _RANKS.index(own)):
        return
    raise NotAllowedError(
        f"A key may not be more than you are: {role.value} is above you.",
        hint="Ask an owner of the organisation.",
    )
