"""How one version takes the place of another: bounds, JSON and back. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MAX_DRAIN_S = 3600.0
MAX_RETAINED = 50
MAX_WATCH_S = 3600.0


@dataclass(frozen=True)
class DeployPolicy:
    """What a deployment owes those who are calling, and when it is taken back by itself."""

    #: Seconds that calls and streams on the old version have to end.
    drain_s: float = 60.0
    #: Deployments that can be gone back to.
    retain: int = 5
    #: Whether a version whose calls fail far more often than those of the one before is taken back.
    auto_rollback: bool = True
    #: For so many seconds after it went live.
    watch_s: float = 300.0


def problems(policy: DeployPolicy) -> dict[str, str]:
    """Return what is wrong, by field."""
    found = {}
    if not 0 <= policy.drain_s <= MAX_DRAIN_S:
        found["deploys.drain_s"] = "give 0 to 3,600 seconds"
    if not 1 <= policy.retain <= MAX_RETAINED:
        found["deploys.retain"] = f"give 1 to {MAX_RETAINED} deployments"
    if not 0 <= policy.watch_s <= MAX_WATCH_S:
        found["deploys.watch_s"] = "give 0 to 3,600 seconds"
    return found


def as_dict(policy: DeployPolicy) -> dict[str, Any]:
    """Return the policy as it is stored and answered."""
    return asdict(policy)


def from_dict(data: Mapping[str, Any]) -> DeployPolicy:
    """Return what ``as_dict`` stored; absent keys take their defaults."""
    return DeployPolicy(**data)
