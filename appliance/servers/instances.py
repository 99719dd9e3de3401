"""From a deployment to what an executor is asked to run. Pure."""

from appliance.runtimes.model import (
    SERVE,
    Instance,
    InstanceSpec,
    Limits,
    Transport,
)
from appliance.servers.model import Deployment, InstanceRecord, Server, ServerConfig
from appliance.sources.model import RemoteSource

DEFAULT_PORT = 8000
#: Where servers of HTTP+SSE open their stream by custom.
SSE_PATH = "/sse"


def transport_of(deployment: Deployment) -> Transport:
    """Return how the deployment speaks: as configured, else as the build found out, else stdio."""
    if deployment.config.transport:
        return deployment.config.transport
    if isinstance(deployment.source, RemoteSource):
        return Transport.STREAMABLE_HTTP
    return Transport(deployment.resolved.get("transport", Transport.STDIO))


def instance_spec(
    server: Server,
    deployment: Deployment,
    *,
    purpose: str = SERVE,
    decision_id: int | None = None,
) -> InstanceSpec:
    """Return the one instance of ``deployment``."""
    config = deployment.config
    return InstanceSpec(
        server_id=server.id,
        server_name=server.name,
        deployment_id=deployment.id,
        image=deployment.image or "",
        transport=transport_of(deployment),
        port=config.port or int(deployment.resolved.get("port") or DEFAULT_PORT),
        path=_path(config, transport_of(deployment)),
        arguments=config.arguments,
        environment=dict(config.environment),
        limits=Limits(cpus=config.cpu_limit, memory_bytes=config.memory_limit_bytes),
        isolation=config.isolation,
        purpose=purpose,
        decision_id=decision_id,
    )


def _path(config: ServerConfig, transport: Transport) -> str:
    is_custom = config.path != ServerConfig.path
    return SSE_PATH if transport is Transport.SSE and not is_custom else config.path


def record_of(
    deployment: Deployment, instance: Instance, *, executor: str
) -> InstanceRecord:
    """Return what the gateway is told of ``instance``."""
    return InstanceRecord(
        deployment_id=deployment.id,
        executor=executor,
        name=instance.name,
        container_id=instance.container_id,
        transport=transport_of(deployment),
        address=instance.address,
        purpose=instance.purpose,
        decision_id=instance.decision_id,
    )


def remote_record(
    server: Server,
    deployment: Deployment,
    *,
    purpose: str = SERVE,
    decision_id: int | None = None,
) -> InstanceRecord:
    """Return what the gateway is told of a server that somebody else runs.

    Raises:
        TypeError: The deployment's source is not remote.
    """
    if not isinstance(deployment.source, RemoteSource):
        raise TypeError(deployment.source)
    return InstanceRecord(
        deployment_id=deployment.id,
        executor="remote",
        name=f"remote-{server.name}-{deployment.id}",
        container_id="",
        transport=transport_of(deployment),
        address=deployment.source.url,
        purpose=purpose,
        decision_id=decision_id,
    )
