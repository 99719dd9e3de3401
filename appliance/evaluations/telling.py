"""What others hear of a certification: the trail, whoever looks at a page, and what it holds. Runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.evaluations.model import REVIEW, Certification
from appliance.jobs.queue import enqueue
from appliance.observability import audit
from appliance.observability.events import publish_in_transaction


def trail(
    actor: audit.Actor,
    action: str,
    found: Certification,
    *,
    before: Certification | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a line about a certification.

    Args:
        actor: Who.
        action: What they did.
        found: As it is now.
        before: As it was; ``None``: there was none, or nothing of it changed.
        details: What else there is to say; then the certification itself did not change.
    """
    about = found.about
    audit.record(
        actor,
        action,
        object_type="certification",
        object_id=found.id,
        object_name=f"{about.server_name} {about.tier} {about.policy_requirement}",
        before=_told(before) if before else None,
        after=None if details else _told(found),
        details={"manifest_digest": about.manifest_digest, **(details or {})},
    )


def tell(kind: str, found: Certification, *, reviews: bool = False) -> None:
    """Publish an event about a certification.

    Args:
        kind: ``certification.changed``, ``certification.expiring`` or ``certification.expired``.
        found: Which.
        reviews: Whether what it holds, or lets run, has to be looked at again.
    """
    about, finding = found.about, found.finding
    until = finding.valid_until
    publish_in_transaction(
        kind,
        about.server_id,
        {
            "certification_id": found.id,
            "artifact_id": about.artifact_run_id,
            "digest": about.manifest_digest,
            "tier": about.tier,
            "requirement": about.policy_requirement,
            "status": finding.status.value,
            "valid_until": until.isoformat() if until else None,
        },
    )
    if reviews:
        digest = about.manifest_digest
        enqueue(REVIEW, {"digest": digest}, lane=f"policy:{digest}")


def _told(found: Certification) -> dict[str, Any]:
    finding = found.finding
    return {
        "status": finding.status.value,
        "note": finding.note,
        "valid_from": _text(finding.valid_from),
        "valid_until": _text(finding.valid_until),
        "evidence": dict(finding.evidence),
        "origin": finding.origin.value,
    }


def _text(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
