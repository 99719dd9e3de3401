"""Who may give up how much, and what the trail says of it. Pure."""

from typing import Any

from appliance.accounts.model import Principal
from appliance.core.errors import ForbiddenError, InvalidError
from appliance.runtimes.isolation import Isolation, Tier, as_dict, unmet
from appliance.runtimes.model import ExecutorDescriptor


def needs_more_than_every_box_has(isolation: Isolation) -> bool:
    """Tell whether the executor must be asked before this is accepted."""
    return isolation.tier is not Tier.STANDARD or isolation.use_gpu


def require_possible(isolation: Isolation, executor: ExecutorDescriptor) -> None:
    """Refuse what the executor cannot give.

    Raises:
        InvalidError: Names each field, with what to do.
    """
    fields = unmet(
        isolation,
        tiers=executor.isolation_tiers,
        capabilities=executor.capabilities,
    )
    if fields:
        raise InvalidError("This box cannot run the server like that.", fields=fields)


def require_may_relax(
    principal: Principal, before: Isolation, after: Isolation
) -> None:
    """Refuse that anybody but an administrator takes hardening away; everybody may put it back.

    Raises:
        ForbiddenError: They are none, and would take more away.
    """
    added = set(after.relaxations) - set(before.relaxations)
    if added and not principal.is_admin:
        names = ", ".join(sorted(added))
        raise ForbiddenError(
            f"Only administrators may take hardening away ({names}).",
            hint="Ask one of them, or leave isolation.relaxations as it is.",
        )


def told(before: Isolation, after: Isolation) -> dict[str, Any]:
    """Return what the trail says of a change: both sides of each field that changed; empty if none did."""
    old, new = as_dict(before), as_dict(after)
    changed = [name for name in new if old[name] != new[name]]
    return (
        {
            "before": {name: old[name] for name in changed},
            "after": {name: new[name] for name in changed},
        }
        if changed
        else {}
    )
