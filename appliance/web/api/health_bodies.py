"""What callers say about the checks of a server, in JSON."""

from typing import Any

from pydantic import Field

from appliance.servers.health.policy import (
    MAX_INTERVAL_S,
    MAX_THRESHOLD,
    MIN_INTERVAL_S,
    Canary,
    HealthPolicy,
)
from appliance.web.parsing import Input

# What the service checks, told in the document; its own messages are better than a pattern's.
_SECONDS: dict[str, Any] = {"minimum": MIN_INTERVAL_S, "maximum": MAX_INTERVAL_S}
_CHECKS: dict[str, Any] = {"minimum": 1, "maximum": MAX_THRESHOLD}


class CanaryBody(Input):
    """One call that has to succeed for a server to be ready; it is made at every check."""

    tool: str = Field(
        description="A tool that changes nothing.",
        json_schema_extra={"minLength": 1, "maxLength": 256},
    )
    arguments: dict[str, Any] = Field({}, description="As its input schema wants them.")

    def canary(self) -> Canary:
        """Return it as it is kept."""
        return Canary(self.tool, dict(self.arguments))


class HealthBody(Input):
    """How a server is asked whether it is well."""

    interval_s: float = Field(
        HealthPolicy.interval_s,
        description="Seconds within which the status follows the server.",
        json_schema_extra=_SECONDS,
    )
    timeout_s: float = Field(
        HealthPolicy.timeout_s,
        description="Seconds that one check may take.",
        json_schema_extra=_SECONDS,
    )
    failures: int = Field(
        HealthPolicy.failures,
        description="Failed checks in a row that make a running server degraded.",
        json_schema_extra=_CHECKS,
    )
    successes: int = Field(
        HealthPolicy.successes,
        description="Good checks in a row that make a degraded server run again.",
        json_schema_extra=_CHECKS,
    )
    canary: CanaryBody | None = Field(
        None, description="One call that has to succeed; absent: none is made."
    )

    def policy(self) -> HealthPolicy:
        """Return the policy; the service checks its values."""
        return HealthPolicy(
            interval_s=self.interval_s,
            timeout_s=self.timeout_s,
            failures=self.failures,
            successes=self.successes,
            canary=self.canary.canary() if self.canary else None,
        )
