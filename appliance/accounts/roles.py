"""Who may do what. Pure; denies whatever it does not allow."""

from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Principal, Role


def visible_owner(principal: Principal) -> int | None:
    """Return whose things the principal may know of: a person's number, or ``None`` for everybody's.

    Administrators and readers see everything; readers change nothing.
    """
    if principal.role in {Role.ADMIN, Role.READER}:
        return None
    return principal.user_id


def may_create(principal: Principal) -> bool:
    """Return whether the principal may add servers."""
    return principal.user_id is not None and principal.role in {
        Role.ADMIN,
        Role.MEMBER,
    }


def may_write(principal: Principal, *, owner_id: int | None) -> bool:
    """Return whether the principal may change what ``owner_id`` owns."""
    if principal.role is Role.ADMIN:
        return True
    return (
        principal.role is Role.MEMBER
        and owner_id is not None
        and principal.user_id == owner_id
    )


def may_administer(principal: Principal) -> bool:
    """Return whether the principal may see and change people, jobs and the audit trail."""
    return principal.role is Role.ADMIN


def require_may_create(principal: Principal) -> int:
    """Return who will own what the principal adds.

    Raises:
        NotAllowedError: The principal may not add servers.
    """
    if principal.user_id is None or not may_create(principal):
        raise _not_allowed(principal, "add servers")
    return principal.user_id


def require_may_write(principal: Principal, *, owner_id: int | None) -> None:
    """Raise ``NotAllowedError`` unless the principal may change what ``owner_id`` owns."""
    if not may_write(principal, owner_id=owner_id):
        raise _not_allowed(principal, "change or call this server")


def require_may_administer(principal: Principal) -> None:
    """Raise ``NotAllowedError`` unless the principal is an administrator."""
    if not may_administer(principal):
        raise _not_allowed(principal, "do this")


def _not_allowed(principal: Principal, what: str) -> NotAllowedError:
    return NotAllowedError(
        f"The role {principal.role.value} may not {what}.",
        hint="Ask an administrator of this box.",
    )
