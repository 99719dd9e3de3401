"""Which organisation somebody means, and whether they may do with it what they want; runs inside ``database.run``."""

from appliance.accounts.access import require_found
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs import store
from appliance.accounts.orgs.errors import OrgNotFoundError
from appliance.accounts.orgs.model import Org


def allowed_org(principal: Principal, org: int | str, action: Action) -> Org:
    """Return an organisation with which the principal may do something.

    Raises:
        OrgNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not do this.
    """
    missing = OrgNotFoundError(f"There is no organisation {org}.")
    return require_found(principal, action, store.find(org), missing)
