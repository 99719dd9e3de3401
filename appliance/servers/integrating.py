"""The services that servers use, put together with what servers are."""

from appliance.infra.database import Database
from appliance.integrations import store as services
from appliance.integrations.service import IntegrationService, Surroundings
from appliance.secrets.service import SecretService
from appliance.servers.deploys.model import Trigger
from appliance.servers.egress import store as egress_store
from appliance.servers.places import changed_target, seen_target
from appliance.servers.redeploys import deploy_again


def make_integrations(
    database: Database, secrets: SecretService, *, subnet_pool: str
) -> IntegrationService:
    """Return the service.

    Args:
        database: Where services are kept.
        secrets: Where their secret parts are.
        subnet_pool: Where hosted servers are; nothing there is connected to.
    """

    def restart(server_id: int, by: str, reason: str) -> bool:
        return deploy_again(
            server_id, requested_by=by, reason=reason, trigger=Trigger.SETTINGS
        )

    egress_store.use_services(services.destinations)
    around = Surroundings(
        seen=seen_target,
        changed=changed_target,
        restart=restart,
        open_ways=egress_store.refresh,
        hide=secrets.refresh,
        server_networks=(subnet_pool,),
    )
    return IntegrationService(database, secrets.keeper, around)
