"""What the audit trail says of a bundle. Pure."""

from dataclasses import asdict
from typing import Any

from appliance.bundles.model import Bundle


def told(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle for the trail: one entry a member, so that a change shows which, and their order."""
    members = {
        f"member.{member.server}": asdict(member.config) for member in bundle.members
    }
    return {
        "description": bundle.description,
        "separator": bundle.separator,
        "order": [member.server for member in bundle.members],
        **members,
    }
