"""How an instance is started that the policy has started, and what is written down of it."""

from collections.abc import Mapping
from dataclasses import replace

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.integrations.store import environment as service_variables
from appliance.policy.model import Purpose
from appliance.runtimes.errors import StartFailedError
from appliance.runtimes.model import SERVE, Instance
from appliance.runtimes.ports import Executor
from appliance.secrets.service import SecretService
from appliance.servers import deployment_store, store, vm_store
from appliance.servers.egress import store as egress_store
from appliance.servers.facts import Held
from appliance.servers.gate import Gate, Ruling, look
from appliance.servers.instances import instance_spec, record_of, remote_record
from appliance.servers.model import Deployment, DeploymentState, Server


class Launcher:
    """Asks the gate, and starts what it lets pass; nothing else in the hub calls ``Executor.start``."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        gate: Gate,
        secrets: SecretService,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._executor = executor
        self._secrets = secrets
        self.gate = gate

    async def still_held(self, server: Server, deployment: Deployment) -> Ruling | None:
        """Return why what runs as a candidate may not serve yet; ``None``: it may. Only a hold is written down."""
        ask = await self.gate.ask(server, deployment, Purpose.SERVE)
        if (await self._database.run(look, ask)).launches:
            return None
        ruling = await self.gate.rule(server, deployment, Purpose.SERVE)
        return None if ruling.launches else ruling

    async def start(
        self, server: Server, deployment: Deployment, ruling: Ruling
    ) -> Instance:
        """Start what was decided.

        Raises:
            StartFailedError: The engine refused, or has an instance of another purpose under its name.
        """
        spec = instance_spec(
            server,
            deployment,
            purpose=ruling.facts.purpose.value,
            decision_id=ruling.decision_id,
        )
        values = await self._secrets.of_instance(server.id)
        plain = await self._database.run(_open_ways, server.id)
        environment = {**plain, **spec.environment}
        instance = await self._executor.start(
            replace(spec, secrets=values, environment=environment)
        )
        if instance.purpose != spec.purpose:
            await self._executor.remove(spec.name)
            raise StartFailedError(
                "An instance was there that was meant for something else; it was removed.",
                hint="Start it again.",
            )
        return instance

    async def record(
        self, server: Server, deployment: Deployment, instance: Instance
    ) -> None:
        """Tell the gateway of an instance."""
        executor = self._executor.name
        record = record_of(deployment, instance, executor=executor)

        def write() -> None:
            store.record_instance(
                server.id,
                record,
                started_at=instance.started_at,
                is_routed=_is_routed(deployment, instance.purpose),
            )
            vm_store.started(instance, executor)

        await self._database.run(write)

    async def record_remote(
        self, server: Server, deployment: Deployment, ruling: Ruling
    ) -> None:
        """Tell the gateway of a server that somebody else runs: for it, that is its launch."""
        purpose = ruling.facts.purpose.value
        record = remote_record(
            server, deployment, purpose=purpose, decision_id=ruling.decision_id
        )
        await self._database.run(
            store.record_instance,
            server.id,
            record,
            started_at=now(),
            is_routed=_is_routed(deployment, purpose),
        )


def held(deployment: Deployment, ruling: Ruling) -> Held:
    """Return what a ruling that launches nothing means for the next step."""
    return Held(deployment.id, ruling.status, ruling.told, is_refused=ruling.is_refused)


def _is_routed(deployment: Deployment, purpose: str) -> bool:
    return deployment.state is DeploymentState.LIVE and purpose == SERVE


# -- rows; inside ``database.run``


def forget(server_id: int, names: tuple[str, ...], why: str) -> None:
    """Take instances away from the gateway, and note that they end."""
    store.forget_instances(server_id, names)
    vm_store.ended(server_id, names, "removed", why)


def forget_all(server_id: int, names: tuple[str, ...], why: str) -> None:
    """Take all instances of a server away from the gateway, and note that they end."""
    store.forget_instances(server_id)
    vm_store.ended(server_id, names, "removed", why)


def reuse(deployment: Deployment, number: int) -> None:
    """Let a deployment run the image of an earlier one, so that nothing is built."""
    earlier = deployment_store.numbered(deployment.server_id, number)
    store.set_built(
        deployment.id,
        image=earlier.image or "",
        resolved=earlier.resolved,
        made_of=earlier.made_of or earlier.number,
    )


def _open_ways(server_id: int) -> Mapping[str, str]:
    """Let a server reach all that it is to reach by now, and return the variables that tell it of its services."""
    # Secrets that were added since may name what it needs to reach.
    egress_store.refresh(server_id)
    return service_variables(server_id)
