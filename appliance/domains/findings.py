"""What is written about a domain once DNS was asked. Runs inside ``database.run``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.domains import store
from appliance.domains.errors import DomainTakenError
from appliance.domains.model import Domain, Proof, Status
from appliance.domains.ownership import Finding
from appliance.domains.pace import is_to_tell, next_look, next_recheck
from appliance.observability import audit
from appliance.observability.events import publish_in_transaction

AWAY = "domain.away"
_GIVEN_UP = "It is not looked at any more; check it once the record is set."


@dataclass(frozen=True)
class Looker:
    """Who looks."""

    user_id: int | None = None
    name: str = "system"
    via: str = "system"


LOOKER = Looker()


def write(domain_id: int, finding: Finding, at: datetime) -> Domain | None:
    """Write what was found; ``None``: the domain is gone."""
    domain = store.find(domain_id, locked=True)
    if domain is None:
        return None
    if domain.is_verified:
        return _again(domain, finding, at)
    if finding.proof is not None:
        return _verified(domain, finding.proof, finding, at)
    return _in_vain(domain, finding, at)


def _verified(domain: Domain, proof: Proof, finding: Finding, at: datetime) -> Domain:
    try:
        found = store.verify(domain, proof, **_first(domain, finding, at), checks=0)
    except DomainTakenError as error:
        return store.change(
            domain.id,
            status=Status.ERROR.value,
            reason=error.detail,
            found=finding.found,
            checked_at=at,
            next_check_at=None,
        )
    audit.record(
        LOOKER,
        "domain.verify",
        object_type="domain",
        object_id=found.id,
        object_name=found.host,
        details={"server": found.server_name, "by": proof.value},
    )
    return found


def _first(domain: Domain, finding: Finding, at: datetime) -> dict[str, Any]:
    return {
        "reason": finding.reason,
        "found": finding.found,
        "checked_at": at,
        "next_check_at": at + next_recheck(domain.id, is_away=not finding.points_here),
        "away_since": None if finding.points_here else at,
    }


def _in_vain(domain: Domain, finding: Finding, at: datetime) -> Domain:
    wait = next_look(domain.checks + 1, at - domain.created_at)
    is_given_up = wait is None
    return store.change(
        domain.id,
        checks=domain.checks + 1,
        checked_at=at,
        found=finding.found,
        reason=f"{finding.reason} {_GIVEN_UP}" if is_given_up else finding.reason,
        status=Status.ERROR.value if is_given_up else Status.PENDING.value,
        next_check_at=None if wait is None else at + wait,
    )


def _again(domain: Domain, finding: Finding, at: datetime) -> Domain:
    """Look at a name that is served: it stays so, and whoever cares is told where DNS leads now."""
    is_away = not finding.points_here and not finding.is_unknown
    # What could not be asked about is as it was.
    since = domain.away_since if finding.is_unknown else None
    if is_away:
        since = domain.away_since or at
    told = domain.told_at if since else None
    is_now_told = is_to_tell(since, told, at)
    reason = domain.reason
    if not finding.is_unknown:
        reason = finding.reason if is_away else _kept_reason(domain)
    found = store.change(
        domain.id,
        checked_at=at,
        found=domain.found if finding.is_unknown else finding.found,
        reason=reason,
        checks=domain.checks + 1 if is_away else 0,
        away_since=since,
        told_at=at if is_now_told else told,
        next_check_at=at + next_recheck(domain.id, is_away=since is not None),
    )
    if is_now_told:
        _tell(found)
    return found


def _kept_reason(domain: Domain) -> str:
    """Return what is left to say of a name that leads here: what its certificate waits for."""
    return "" if domain.away_since or domain.status is Status.ACTIVE else domain.reason


def _tell(domain: Domain) -> None:
    publish_in_transaction(AWAY, domain.server_id, {"host": domain.host})
    audit.record(
        LOOKER,
        "domain.away",
        object_type="domain",
        object_id=domain.id,
        object_name=domain.host,
        details={"server": domain.server_name, "found": domain.found},
    )
