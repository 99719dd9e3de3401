"""All that is so about a server: what is wanted, what was tried, what runs. Pure."""

from dataclasses import dataclass
from datetime import datetime

from appliance.runtimes.model import Instance
from appliance.servers.health.model import Health
from appliance.servers.model import Deployment, InstanceRecord, Server


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
