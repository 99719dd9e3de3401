"""What people see of a server's isolation."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.runtimes.isolation import DataUse, Isolation
from appliance.runtimes.model import Limits


class Limit(StrEnum):
    """What a server can run into."""

    PROCESSES = "processes"
    MEMORY = "memory"
    DATA = "data"


#: Each in words, for pages and command lines.
MEANINGS = {
    Limit.PROCESSES: "wanted more processes or threads than it may have",
    Limit.MEMORY: "had processes killed because it used all of its memory",
    Limit.DATA: "filled /data",
}


@dataclass(frozen=True)
class LimitHit:
    """How often a server ran into one of its limits."""

    limit: Limit
    times: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class IsolationView:
    """A server's isolation: what is asked, what holds, and what came of it."""

    server_id: int
    server_name: str
    isolation: Isolation
    limits: Limits
    #: What may lie in /data, by configuration or by the box's settings; 0: no limit.
    data_bytes: int
    #: As far as it can be seen now.
    data: DataUse | None
    #: Why /data has no limit that holds; empty if it has one.
    data_unlimited_because: str
    #: What this box's executor has; empty while it does not answer.
    tiers: frozenset[str]
    capabilities: frozenset[str]
    hits: tuple[LimitHit, ...]
