"""What a page offers to whom: words of its templates for what may be done. Pure."""

from collections.abc import Collection

from appliance.accounts.model import Action


def may_words(allowed: Collection[Action]) -> dict[str, bool]:
    """Return ``may_call``, ``may_deploy``, ``may_write``, ``may_delete`` and ``may_transfer`` for a template."""
    return {
        "may_call": Action.CALL in allowed,
        "may_deploy": Action.DEPLOY in allowed,
        "may_write": Action.CHANGE in allowed,
        "may_delete": Action.DELETE in allowed,
        "may_transfer": Action.TRANSFER in allowed,
    }
