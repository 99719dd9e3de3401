"""How a server's health is looked at: bounds, JSON and back. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MIN_INTERVAL_S = 1.0
MAX_INTERVAL_S = 3600.0
MAX_THRESHOLD = 20
#: Letters of a tool's name, and of its arguments as JSON.
MAX_TOOL = 256
MAX_ARGUMENTS = 8192


@dataclass(frozen=True)
class Canary:
    """One call that has to succeed for a server to be ready."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HealthPolicy:
    """How often a server is asked, and how many answers make up our mind."""

    #: Seconds between two checks.
    interval_s: float = 30.0
    #: Seconds that one check may take.
    timeout_s: float = 10.0
    #: Failed checks in a row that make a running server degraded.
    failures: int = 1
    #: Good checks in a row that make a degraded server run again.
    successes: int = 1
    canary: Canary | None = None


def problems(policy: HealthPolicy) -> dict[str, str]:
    """Return what is wrong, by field."""
    found = {}
    for name in ("interval_s", "timeout_s"):
        if not MIN_INTERVAL_S <= getattr(policy, name) <= MAX_INTERVAL_S:
            found[f"health.{name}"] = "give 1 to 3,600 seconds"
    if not found and policy.timeout_s > policy.interval_s:
        found["health.timeout_s"] = "give at most the interval"
    for name in ("failures", "successes"):
        if not 1 <= getattr(policy, name) <= MAX_THRESHOLD:
            found[f"health.{name}"] = f"give 1 to {MAX_THRESHOLD} checks"
    return found | (_canary_problems(policy.canary) if policy.canary else {})


def _canary_problems(canary: Canary) -> dict[str, str]:
    found = {}
    if not 0 < len(canary.tool) <= MAX_TOOL:
        found["health.canary.tool"] = "name one of the server's tools"
    if len(json.dumps(canary.arguments)) > MAX_ARGUMENTS:
        found["health.canary.arguments"] = (
            f"give at most {MAX_ARGUMENTS:,} letters of JSON"
        )
    return found


def as_dict(policy: HealthPolicy) -> dict[str, Any]:
    """Return the policy as it is stored and answered."""
    canary = policy.canary
    return {
        "interval_s": policy.interval_s,
        "timeout_s": policy.timeout_s,
        "failures": policy.failures,
        "successes": policy.successes,
        "canary": {"tool": canary.tool, "arguments": canary.arguments}
        if canary
        else None,
    }


def from_dict(data: Mapping[str, Any]) -> HealthPolicy:
    """Return what ``as_dict`` stored; absent keys take their defaults."""
    canary = data.get("canary")
    known = {
        name: data[name]
        for name in ("interval_s", "timeout_s", "failures", "successes")
        if name in data
    }
    return HealthPolicy(**known, canary=Canary(**canary) if canary else None)
