"""Who wants a held deployment to run for evaluation. Every function runs inside ``database.run``."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from appliance.infra.database import proxy
from appliance.servers.tables import CandidateLeaseRow


@dataclass(frozen=True)
class Lease:
    """Somebody's wish that a deployment can be asked."""

    id: int
    deployment_id: int
    server_id: int
    holder: str
    until: datetime


def add(server_id: int, deployment_id: int, holder: str, seconds: float) -> Lease:
    """Note a wish; one holder has one wish for a deployment, which is then prolonged."""
    # Two runs of one holder at the same moment make one wish.
    proxy.execute_sql(
        "SELECT id FROM deployments WHERE id = %s FOR UPDATE", (deployment_id,)
    )
    until = _moment() + timedelta(seconds=seconds)
    mine = (CandidateLeaseRow.deployment_id == deployment_id) & (
        CandidateLeaseRow.holder == holder
    )
    row = CandidateLeaseRow.get_or_none(mine)
    if row is None:
        row = CandidateLeaseRow.create(
            deployment_id=deployment_id,
            server_id=server_id,
            holder=holder,
            until=until,
            created_at=fn.now(),
        )
    else:
        CandidateLeaseRow.update(until=until).where(mine).execute()
    return Lease(row.id, deployment_id, server_id, holder, until)


def prolong(lease_id: int, seconds: float) -> bool:
    """Let a wish last so much longer from now; return whether there still was one."""
    until = _moment() + timedelta(seconds=seconds)
    return bool(
        CandidateLeaseRow.update(until=until)
        .where(CandidateLeaseRow.id == lease_id)
        .execute()
    )


def remove(lease_id: int) -> int | None:
    """End a wish; return the server's number, ``None``: there was none."""
    rows = (
        CandidateLeaseRow.delete()
        .where(CandidateLeaseRow.id == lease_id)
        .returning(CandidateLeaseRow.server_id)
        .execute()
    )
    return next((row.server_id for row in rows), None)


@dataclass(frozen=True)
class Gated:
    """What the policy, and those who evaluate, have written down about a server."""

    #: Deployments of which nothing may go on running.
    ended: frozenset[int]
    #: How long somebody wants a deployment to run for evaluation, by deployment.
    leases: Mapping[int, datetime]


# Asked at every step of every server, so one question for both.
_GATED = """
SELECT deployment_id, NULL::timestamptz FROM policy_holds WHERE server_id = %s AND ends_running
UNION ALL
SELECT deployment_id, max(until) FROM candidate_leases WHERE server_id = %s AND until > now() GROUP BY deployment_id
"""


def gated(server_id: int) -> Gated:
    """Return both of a server."""
    rows = proxy.execute_sql(_GATED, (server_id, server_id)).fetchall()
    return Gated(
        ended=frozenset(number for number, until in rows if until is None),
        leases={number: until for number, until in rows if until is not None},
    )


def expire() -> int:
    """Forget wishes whose time is over; return how many went."""
    return int(
        CandidateLeaseRow.delete().where(CandidateLeaseRow.until <= fn.now()).execute()
    )


def _moment() -> datetime:
    found: datetime = proxy.execute_sql("SELECT now()").fetchone()[0]
    return found
