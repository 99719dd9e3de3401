"""Recorded calls are made again, of the candidate; whoever does it says how it ended. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.governance.steps.base import Reader, Setting

#: The job that replays.
JOB = "evaluations.replay"
MOST = 10_000


class ReplayKind:
    """Replays recorded calls against the digest."""

    name = "replay"
    label = "Replay"
    help = "Makes recorded calls again, of the new version, and fails when answers differ that nobody accepted."
    is_automatic = True
    settings: tuple[Setting, ...] = (
        Setting("calls", "Calls", "number", "How many of the latest calls at most.", "100"),
    )  # fmt: skip

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order."""
        reader = Reader(config)
        found = {"calls": reader.number("calls", 100, low=1, high=MOST)}
        reader.end()
        return found

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return how many calls."""
        return f"a replay of up to {config['calls']} calls to pass"


def payload(
    config: Mapping[str, Any], *, digest: str, tier: str, step_run_id: int
) -> dict[str, Any]:
    """Return what the job is told."""
    return {
        "calls": config["calls"],
        "digest": digest,
        "tier": tier,
        "for_step": step_run_id,
    }
