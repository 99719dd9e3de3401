"""What callers say about how a server's versions take each other's place, in JSON."""

from pydantic import Field

from appliance.servers.deploys.policy import (
    MAX_DRAIN_S,
    MAX_RETAINED,
    MAX_WATCH_S,
    DeployPolicy,
)
from appliance.web.parsing import Input


class DeploysBody(Input):
    """What a deployment owes those who are calling, and when it is taken back by itself."""

    drain_s: float = Field(
        DeployPolicy.drain_s,
        description="Seconds that calls and streams on the old version have to end.",
        json_schema_extra={"minimum": 0, "maximum": MAX_DRAIN_S},
    )
    retain: int = Field(
        DeployPolicy.retain,
        description="Deployments that can be gone back to.",
        json_schema_extra={"minimum": 1, "maximum": MAX_RETAINED},
    )
    auto_rollback: bool = Field(
        DeployPolicy.auto_rollback,
        description="Whether a version whose calls fail far more often than those of the one before is taken back.",
    )
    watch_s: float = Field(
        DeployPolicy.watch_s,
        description="For so many seconds after it went live.",
        json_schema_extra={"minimum": 0, "maximum": MAX_WATCH_S},
    )

    def policy(self) -> DeployPolicy:
        """Return the policy; the service checks its values."""
        return DeployPolicy(**self.model_dump())
