"""By what a server's versions are known to those who certify and promote them. Runs inside ``database.run``."""

from dataclasses import dataclass

from appliance.artifacts import store as artifact_store
from appliance.artifacts.identity import digest_of_run
from appliance.core import tiers
from appliance.core.digests import address_digest
from appliance.policy import store as policy_store
from appliance.promotions import moving
from appliance.servers import deployment_store, store
from appliance.servers.model import Deployment, DeploymentState, Server
from appliance.sources.model import RemoteSource


@dataclass(frozen=True)
class KnownAs:
    """One version of a server."""

    #: ``None``: nothing was built yet.
    digest: str | None
    #: ``gold:npm``.
    tier: str
    #: Of the ledger; ``None``: nothing was built for it.
    artifact_run_id: int | None
    deployment_id: int | None
    number: int | None = None
    #: Whether clients are sent to it.
    is_live: bool = False


def built_for(deployment: Deployment) -> int:
    """Return the deployment whose build made the image of this one."""
    if deployment.made_of is None:
        return deployment.id
    return deployment_store.numbered(deployment.server_id, deployment.made_of).id


def known_as(server: Server, deployment: Deployment | None) -> KnownAs:
    """Return by what a version is certified and promoted.

    An image that the ledger does not know is known by what the engine called it when it was last decided about.
    """
    unrated = tiers.tier_of(tiers.UNRATED, server.server_type)
    if deployment is None:
        return KnownAs(None, unrated, None, None)
    live = deployment.state is DeploymentState.LIVE
    at = (deployment.id, deployment.number, live)
    if isinstance(deployment.source, RemoteSource):
        return KnownAs(address_digest(deployment.source.url), unrated, None, *at)
    artifact = artifact_store.made_for(server.id, built_for(deployment))
    if artifact is not None:
        tier = artifact.rating.tier.lower()
        return KnownAs(digest_of_run(artifact.run), tier, artifact.id, *at)
    return KnownAs(policy_store.digest_of(deployment.id), unrated, None, *at)


def newest_version(server: Server) -> KnownAs:
    """Return by what is known what is on its way, else what is live, else what was tried last."""
    pending = store.deployment_in(server.id, DeploymentState.PENDING)
    live = store.deployment_in(server.id, DeploymentState.LIVE)
    chosen = pending if pending and pending.image is not None else live or pending
    return known_as(server, chosen or store.deployment_in(server.id))


def live_digest(server_id: int) -> str | None:
    """Return the digest that a server's clients are sent to; ``None``: they are sent nowhere, or nobody knows it."""
    live = store.deployment_in(server_id, DeploymentState.LIVE)
    return known_as(store.get(server_id), live).digest if live else None


def tell_live(server: Server, deployment: Deployment) -> None:
    """Let a version that just went live take the place of the one before on its tracks."""
    digest = known_as(server, deployment).digest
    if digest is not None:
        moving.tell_live(server.id, digest)
