"""What servers refer to of that which was pushed: pruning leaves it."""

from appliance.builds import store as build_store
from appliance.builds.model import BuildState
from appliance.registry.prune import Kept
from appliance.servers import store


class DeploymentReferences:
    """Deployments that wait, live, or may be rolled back to, and servers that are made of pushed images."""

    def kept(self, server_id: int) -> Kept:
        """Return what must stay; runs inside ``database.run``."""
        newest = build_store.latest(server_id)
        return Kept(
            images=frozenset(store.image_sources()),
            deployments=frozenset(store.deployments_referred()),
            # What it is about to push is nobody's yet, and may be there already.
            is_busy=newest is not None and newest.state is BuildState.RUNNING,
        )
