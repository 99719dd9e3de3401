"""Which servers a bundle may hold. Pure; the view ``gateway_bundles`` says the same in SQL."""

from appliance.accounts.access import Thing, may
from appliance.accounts.model import Action, Principal


def may_hold(owner: Principal | None, org_id: int | None, server: Thing) -> bool:
    """Return whether a server may be a member: an organisation's bundle holds its own, a person's what they may call.

    Args:
        owner: Whose the bundle is, or who made it for the organisation; ``None``: they are disabled.
        org_id: Of the organisation that the bundle belongs to.
        server: The server.
    """
    if org_id is not None:
        return server.org_id == org_id
    return owner is not None and may(owner, Action.CALL, server)
