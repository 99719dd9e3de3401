"""Certifies what servers are to run, as reviewers would."""

from datetime import datetime

from appliance.accounts.model import SYSTEM
from appliance.evaluations import store
from appliance.evaluations.certifications import windowed
from appliance.evaluations.certifying import certified
from appliance.evaluations.model import About, Finding, Status
from appliance.infra.database import Database
from appliance.servers import store as servers
from appliance.servers.versions import newest_version


def certify_now(
    server_id: int,
    requirement: str,
    *,
    status: str = "pass",
    valid_until: datetime | None = None,
) -> str | None:
    """Write a finding about what is on its way, or live, and return its digest; runs inside ``database.run``."""
    server = servers.get(server_id)
    version = newest_version(server)
    if version.digest is None:
        return None
    about = About(
        artifact_run_id=version.artifact_run_id,
        server_id=server.id,
        server_name=server.name,
        owner_id=server.owner_id,
        org_id=server.org_id,
        manifest_digest=version.digest,
        tier=version.tier,
        policy_requirement=requirement,
    )
    found = Finding(Status(status), valid_until=valid_until)
    certified(SYSTEM, about, windowed(found, store.moment()))
    return version.digest


async def certify(
    database: Database, server_id: int, requirement: str, *, status: str = "pass"
) -> str | None:
    """Do what ``certify_now`` does in a transaction of its own."""
    return await database.run(certify_now, server_id, requirement, status=status)
