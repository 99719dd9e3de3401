"""The same version once more, for what reaches servers only when they start. Runs inside ``database.run``."""

from appliance.jobs.queue import cancel_running_in_lane
from appliance.servers import store
from appliance.servers.deploys.model import Trigger
from appliance.servers.model import DeploymentState, DesiredState, Status
from appliance.servers.service import lane_of, reconcile_soon
from appliance.sources.model import RemoteSource


def deploy_again(
    server_id: int,
    *,
    requested_by: str,
    reason: str = "",
    trigger: Trigger = Trigger.SECRETS,
) -> bool:
    """Have a server that should run start anew from the same image, without a build; return whether that was called for.

    One that is being built takes what is new when it starts. One of which nothing runs is built anew, since it may have
    failed for want of it.

    Raises:
        DeployLockedError: The server is locked.
    """
    server = store.get(server_id)
    if server.desired_state is not DesiredState.RUNNING or isinstance(
        server.source, RemoteSource
    ):
        return False
    pending = store.deployment_in(server_id, DeploymentState.PENDING)
    if pending is not None and pending.image is None:
        return False
    live = store.deployment_in(server_id, DeploymentState.LIVE)
    store.add_deployment(
        server,
        requested_by=requested_by,
        trigger=trigger,
        reason=reason,
        like=pending or live,
    )
    store.set_status(server_id, Status.QUEUED)
    cancel_running_in_lane(lane_of(server_id))
    reconcile_soon(server_id)
    return True
