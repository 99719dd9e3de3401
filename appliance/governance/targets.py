"""What somebody means who names a digest, or a run of the ledger. Runs inside ``database.run``."""

from appliance.accounts.access import may
from appliance.accounts.model import Action, Principal
from appliance.artifacts import store as ledger
from appliance.artifacts.identity import digest_of_run
from appliance.artifacts.model import Artifact
from appliance.artifacts.service import thing_of
from appliance.core.digests import is_digest
from appliance.core.errors import InvalidError
from appliance.core.tiers import is_pattern
from appliance.governance.model import Target


def target_of(
    principal: Principal,
    *,
    digest: str = "",
    tier: str = "",
    artifact_run_id: int | None = None,
) -> Target:
    """Return digest and tier, and the run of the ledger that made it where the principal may know of one.

    Args:
        principal: Who asks.
        digest: ``sha256:`` and 64 digits; empty: that of the run.
        tier: Such as ``gold:npm``; empty: as the ledger rates the run.
        artifact_run_id: Of the ledger; ``None``: its newest run with the digest.

    Raises:
        InvalidError: There is no such thing, or what is given contradicts it.
    """
    tier = tier.strip().lower()
    if tier and (not is_pattern(tier) or "*" in tier):
        raise InvalidError.field("tier", "give a tier such as gold:npm")
    if artifact_run_id is not None:
        return _of_run(principal, artifact_run_id, digest, tier)
    if not is_digest(digest):
        raise InvalidError.field(
            "manifest_digest", "give sha256: and 64 lower-case hex digits, or artifact_run_id"
        )  # fmt: skip
    known = [item for item in ledger.with_digest(digest) if _may_see(principal, item)]
    fitting = [item for item in known if tier in {"", item.rating.tier.lower()}]
    if fitting:
        return _target(fitting[0], digest)
    if not tier:
        raise InvalidError.field(
            "tier", "the ledger knows no such digest; name the tier, such as unrated:image"
        )  # fmt: skip
    return Target(digest, tier)


def _of_run(principal: Principal, run_id: int, digest: str, tier: str) -> Target:
    artifact = ledger.get(run_id)
    if artifact is None or not _may_see(principal, artifact):
        raise InvalidError.field("artifact_run_id", f"there is no artifact {run_id}")
    own = digest_of_run(artifact.run)
    if own is None:
        raise InvalidError.field("artifact_run_id", "its build came to no image")
    if digest and digest != own:
        raise InvalidError.field("manifest_digest", f"artifact {run_id} has {own}")
    rated = artifact.rating.tier.lower()
    if tier and tier != rated:
        raise InvalidError.field("tier", f"artifact {run_id} is {rated}")
    return _target(artifact, own)


def _target(artifact: Artifact, digest: str) -> Target:
    return Target(
        digest,
        artifact.rating.tier.lower(),
        artifact.id,
        artifact.run.server_id,
        artifact.run.server_name,
    )


def _may_see(principal: Principal, artifact: Artifact) -> bool:
    return may(principal, Action.SEE, thing_of(artifact))
