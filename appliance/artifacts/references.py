"""What the ledger refers to of that which was pushed: pruning leaves it."""

from appliance.artifacts import store
from appliance.registry.prune import Kept


class LedgerReferences:
    """What the marketplace offers."""

    def kept(self, server_id: int) -> Kept:
        """Return what must stay; runs inside ``database.run``."""
        return Kept(store.offered_digests(server_id))
