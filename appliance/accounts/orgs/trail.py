"""What the audit trail says of organisations; runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.accounts.model import Principal
from appliance.accounts.orgs.model import Org
from appliance.observability.audit import record


def audit_org(
    principal: Principal,
    action: str,
    org: Org,
    details: Mapping[str, Any] | None = None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write a line about an organisation."""
    record(
        principal,
        action,
        object_type="org",
        object_id=org.id,
        object_name=org.name,
        details=details,
        before=before,
        after=after,
    )
