"""Who may let a server into the private network, and what the trail says of a change."""

from typing import Any

from appliance.accounts.model import Principal
from appliance.core.egress import EgressPolicy, as_dict
from appliance.core.errors import ForbiddenError


def require_may_lead_inside(
    principal: Principal, before: EgressPolicy | None, after: EgressPolicy | None
) -> None:
    """Refuse that anybody but an administrator lets a server reach private addresses.

    Raises:
        ForbiddenError: They are none, and would let it reach more of them.
    """
    known = set(before.private) if before else set()
    added = (set(after.private) if after else set()) - known
    if added and not principal.is_admin:
        raise ForbiddenError(
            f"Only administrators may let a server reach private addresses ({', '.join(sorted(added))}).",
            hint="Ask one of them, or leave egress.private as it is.",
        )


def told(before: EgressPolicy | None, after: EgressPolicy | None) -> dict[str, Any]:
    """Return what the trail says of a change; empty if nothing changed."""
    if before == after:
        return {}
    return {
        "egress": {
            "before": as_dict(before) if before else None,
            "after": as_dict(after) if after else None,
        }
    }
