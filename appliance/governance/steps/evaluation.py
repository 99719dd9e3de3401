"""A suite of tests is run; whoever runs it says how it ended. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.governance.steps.base import Reader, Setting

#: The job that runs a suite.
JOB = "evaluations.run"


class EvaluationKind:
    """Runs a suite against the digest."""

    name = "evaluation"
    label = "Evaluation"
    help = "Runs a suite of tests against the version, and fails when the suite fails."
    is_automatic = True
    settings: tuple[Setting, ...] = (
        Setting("suite", "Suite", "text", "Number or name of the suite."),
    )

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order."""
        reader = Reader(config)
        suite = config.get("suite")
        if isinstance(suite, int) and not isinstance(suite, bool):
            reader = Reader({**config, "suite": str(suite)})
        found = {"suite": reader.text("suite", required=True)}
        reader.end()
        return found

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return which suite."""
        return f"the suite {config['suite']} to pass"


def payload(
    config: Mapping[str, Any], *, digest: str, tier: str, step_run_id: int
) -> dict[str, Any]:
    """Return what the job is told."""
    return {
        "suite": config["suite"],
        "digest": digest,
        "tier": tier,
        "for_step": step_run_id,
    }
