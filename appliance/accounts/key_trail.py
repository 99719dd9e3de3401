"""What the audit trail says of keys: what they may do and until when, never anything of the keys themselves."""

from typing import Any

from appliance.accounts.key_scopes import packed
from appliance.accounts.model import ApiKey, Principal
from appliance.observability.audit import record


def told(key: ApiKey) -> dict[str, Any]:
    """Return a key for the trail. Pure."""
    scope = packed(key.scope) or {}
    return {
        "name": key.name,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "calls_per_second": key.limits.calls_per_second,
        "concurrency": key.limits.concurrency,
        "actions": scope.get("actions"),
        "servers": scope.get("servers"),
        "org_id": key.org_id,
        "org_role": key.org_role.value if key.org_role else None,
        "replaced_by": key.replaced_by,
    }


def audit(
    principal: Principal,
    action: str,
    *,
    before: ApiKey | None = None,
    after: ApiKey | None = None,
) -> None:
    """Write a line about a key, as it was and as it is; runs inside ``database.run``."""
    key = after or before
    if key is None:
        return
    record(
        principal,
        action,
        object_type="key",
        object_id=key.id,
        object_name=key.name,
        details={"org_id": key.org_id} if key.org_id is not None else None,
        before=told(before) if before else None,
        after=told(after) if after else None,
    )
