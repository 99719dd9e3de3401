"""All that is so about a server: what is wanted, what was tried, what runs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from appliance.runtimes.model import Instance
from appliance.servers.health.model import Health
from appliance.servers.model import Deployment, InstanceRecord, Server, Status


@dataclass(frozen=True)
class Held:
    """A deployment that may not be launched, as was decided a moment ago."""

    deployment_id: int
    #: What the server is while nothing of it runs.
    status: Status
    #: Why, and the next step.
    reason: str
    #: Whether waiting does not help; not even for evaluation may it run.
    is_refused: bool = False


@dataclass(frozen=True)
class Facts:
    """All that decides the next step."""

    server: Server
    #: The newest deployment that is neither live nor over, if any.
    pending: Deployment | None
    #: The deployment that was live last, if it still is.
    live: Deployment | None
    #: The newest deployment of all; its reason is told when nothing is live.
    newest: Deployment | None
    #: Every instance of the server that its executor knows.
    instances: tuple[Instance, ...]
    #: What the gateway was told, by deployment.
    records: tuple[InstanceRecord, ...]
    now: datetime
    #: Whether the live deployment was asked since this run began, and did not answer.
    is_unwell: bool = False
    #: What the checks of the instance that serves found.
    health: Health | None = None
    #: Numbers of instances that leave and where nothing goes on any more.
    quiet: frozenset[int] = frozenset()
    #: What people have to do before a server that asks who calls serves them; empty: nothing.
    signin: str = ""
    #: What was found since this run began: deployments that may not be launched, and candidates that now may serve.
    held: tuple[Held, ...] = ()
    lifted: frozenset[int] = frozenset()
    #: Deployments of which nothing may go on running.
    ended: frozenset[int] = frozenset()
    #: How long somebody wants a held deployment to run for evaluation, by deployment.
    leases: Mapping[int, datetime] = field(default_factory=dict)

    def held_of(self, deployment: Deployment) -> Held | None:
        """Return why a deployment may not be launched; ``None``: nobody said so."""
        return next(
            (item for item in self.held if item.deployment_id == deployment.id), None
        )
