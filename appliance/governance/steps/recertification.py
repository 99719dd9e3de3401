"""Certifications are made anew; whoever makes them says how it ended. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.governance.steps.base import Reader, Setting

#: The job that certifies anew.
JOB = "evaluations.recertify"


class RecertificationKind:
    """Has requirements certified anew."""

    name = "recertification"
    label = "Re-certification"
    help = "Sets certifications back to pending, and waits until every one of them passes again."
    is_automatic = True
    settings: tuple[Setting, ...] = (
        Setting("requirements", "Requirements", "lines", "One a line, such as 'smoke'."),
    )  # fmt: skip

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order."""
        reader = Reader(config)
        found = {"requirements": reader.words("requirements", required=True)}
        reader.end()
        return found

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return which requirements."""
        return f"new certifications of {', '.join(config['requirements'])}"


def payload(
    config: Mapping[str, Any], *, digest: str, tier: str, step_run_id: int
) -> dict[str, Any]:
    """Return what the job is told."""
    return {
        "requirements": config["requirements"],
        "digest": digest,
        "tier": tier,
        "for_step": step_run_id,
    }
