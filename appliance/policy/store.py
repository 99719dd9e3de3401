"""Decisions and holds as rows. Every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from appliance.infra import prepared
from appliance.infra.database import proxy
from appliance.infra.questions import Question
from appliance.observability.events import publish_in_transaction
from appliance.policy.model import (
    Decision,
    Hold,
    PolicyFacts,
    Purpose,
    StoredDecision,
    Verdict,
)
from appliance.policy.records import fingerprint
from appliance.policy.tables import DecisionRow, HoldRow

#: A decision's fields as they are called in a row, too.
_OWN = tuple(Decision.__dataclass_fields__)
_LISTS = ("notes", "actions", "capability_requirements")


# Written before every launch: peewee takes longer to write such a statement than Postgres to do it.
_WRITTEN = (
    *_OWN,
    *("server_id", "deployment_id", "purpose", "decided_at", "document_version"),
    *("facts", "fingerprint"),
)
_INSERT = (
    f"INSERT INTO runtime_policy_decisions ({', '.join(_WRITTEN)})"  # noqa: S608 - our own columns
    f" VALUES ({', '.join(f'%({name})s' for name in _WRITTEN)}) RETURNING id"
)
_INSERT_HELD = f"""
WITH made AS ({_INSERT})
INSERT INTO policy_holds (deployment_id, server_id, decision_id, verdict, digest, since, ends_running)
SELECT %(deployment_id)s, %(server_id)s, made.id, %(verdict)s, %(manifest_digest)s, %(decided_at)s, %(ends_running)s FROM made
ON CONFLICT (deployment_id) DO UPDATE SET decision_id = EXCLUDED.decision_id, verdict = EXCLUDED.verdict,
    digest = EXCLUDED.digest, ends_running = EXCLUDED.ends_running
RETURNING decision_id
"""  # noqa: S608 - our own columns
_STANDING = """
SELECT d.id, d.fingerprint, h.ends_running FROM policy_holds h JOIN runtime_policy_decisions d ON d.id = h.decision_id
WHERE h.deployment_id = %s
"""


@dataclass(frozen=True)
class Standing:
    """The decision that holds a deployment."""

    id: int
    fingerprint: str
    ends_running: bool


def question_standing(deployment_id: int | None) -> Question[Standing]:
    """Ask by which decision a deployment is held; most are not."""
    return Question(_STANDING, (deployment_id,), Standing)


def as_one_moment() -> None:
    """Let all that this transaction reads be of one moment; the first thing that it does."""
    proxy.execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def keep(
    facts: PolicyFacts,
    decision: Decision,
    version: int | None,
    known: Standing | None,
) -> int:
    """Store a decision, and what it means for its deployment's hold; return its number.

    A hold that nothing has changed is not written again: whoever looks at it every half minute makes no history.

    Args:
        facts: What it was made of.
        decision: What was decided.
        version: Of the document by which it was.
        known: What holds the deployment at the same moment; ``None``: nothing does.
    """
    request = facts.request
    if facts.purpose is Purpose.KEEP and not decision.ends_running:
        # What runs goes on, whatever its next launch will meet; that is no news.
        if known and known.ends_running:
            release([request.deployment_id or 0])
        return 0
    mark = fingerprint(facts, version)
    if known and known.fingerprint == mark and not _lifts(decision):
        return known.id
    values = {name: _column(getattr(decision, name)) for name in _OWN}
    values |= {
        "server_id": request.server_id,
        "deployment_id": request.deployment_id,
        "purpose": facts.purpose.value,
        "decided_at": facts.at,
        "document_version": version,
        "facts": _json(facts),
        "fingerprint": mark,
    }
    if _lifts(decision):
        decision_id = int(prepared.execute(_INSERT, values).fetchone()[0])
        # A candidate runs although its deployment is held.
        if known and facts.purpose is not Purpose.CANDIDATE:
            release([request.deployment_id or 0])
            _tell(request.server_id)
        return decision_id
    decision_id = int(prepared.execute(_INSERT_HELD, values).fetchone()[0])
    _tell(request.server_id)
    return decision_id


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _column(value: object) -> object:
    if isinstance(value, tuple):
        return _json(value)
    return value.value if isinstance(value, Verdict) else value


def _lifts(decision: Decision) -> bool:
    return decision.verdict in {Verdict.LAUNCH, Verdict.BUILD}


def _tell(server_id: int) -> None:
    publish_in_transaction("server.hold", server_id, {})


def digest_of(deployment_id: int) -> str | None:
    """Return the digest that a deployment had when it was last decided about, if it had one."""
    row = (
        DecisionRow.select(DecisionRow.manifest_digest)
        .where(
            DecisionRow.deployment_id == deployment_id,
            DecisionRow.manifest_digest.is_null(is_null=False),
        )
        .order_by(DecisionRow.id.desc())
        .first()
    )
    return row.manifest_digest if row else None


def release(deployment_ids: Collection[int]) -> None:
    """Forget the holds of deployments that nobody waits for any more."""
    HoldRow.delete().where(HoldRow.deployment_id.in_(list(deployment_ids))).execute()


_HOLDS = """
SELECT h.deployment_id, h.server_id, h.verdict, d.reason, d.actions, d.notes, h.decision_id, h.since, h.ends_running
FROM policy_holds h JOIN runtime_policy_decisions d ON d.id = h.decision_id
"""


def holds_of(server_ids: Collection[int]) -> Mapping[int, list[Hold]]:
    """Return what is held of servers, by server."""
    if not server_ids:
        return {}
    rows = proxy.execute_sql(
        f"{_HOLDS} WHERE h.server_id = ANY(%s) ORDER BY h.deployment_id",
        (list(server_ids),),
    ).fetchall()
    found: dict[int, list[Hold]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(_hold(row))
    return found


def _hold(row: Sequence[Any]) -> Hold:
    return Hold(
        deployment_id=row[0],
        server_id=row[1],
        verdict=Verdict(row[2]),
        reason=row[3],
        actions=tuple(row[4]),
        notes=tuple(row[5]),
        decision_id=row[6],
        since=row[7],
        ends_running=row[8],
    )


def ended(server_id: int) -> frozenset[int]:
    """Return the deployments of a server of which nothing may go on running."""
    rows = HoldRow.select(HoldRow.deployment_id).where(
        HoldRow.server_id == server_id, HoldRow.ends_running
    )
    return frozenset(row.deployment_id for row in rows)


def held(*, digest: str | None = None) -> list[tuple[int, int]]:
    """Return server and deployment of each hold, of one digest or of all."""
    rows = HoldRow.select(HoldRow.server_id, HoldRow.deployment_id)
    if digest is not None:
        rows = rows.where(HoldRow.digest == digest)
    return [(row.server_id, row.deployment_id) for row in rows]


def running(*, digest: str | None, server_id: int | None) -> list[int]:
    """Return the servers of which something runs, or only those that run this digest, or this one.

    An instance that was started before there were decisions may run anything.
    """
    rows = proxy.execute_sql(
        "SELECT DISTINCT i.server_id FROM instances i"
        " LEFT JOIN runtime_policy_decisions d ON d.id = i.decision_id"
        " WHERE i.purpose = 'serve' AND (%(digest)s::text IS NULL OR d.id IS NULL OR d.manifest_digest = %(digest)s)"
        " AND (%(server)s::bigint IS NULL OR i.server_id = %(server)s)",
        {"digest": digest, "server": server_id},
    ).fetchall()
    return [row[0] for row in rows]


def page(
    *,
    servers: Collection[int] | None = None,
    verdict: Verdict | None = None,
    digest: str = "",
    before: int | None = None,
    limit: int = 50,
) -> list[StoredDecision]:
    """Return up to ``limit`` decisions, newest first.

    Args:
        servers: Only of these; ``None``: of all.
        verdict: Only these.
        digest: Only of this digest.
        before: A decision's number: only older ones.
        limit: At most so many.
    """
    rows = DecisionRow.select().order_by(DecisionRow.id.desc()).limit(limit)
    if servers is not None:
        rows = rows.where(DecisionRow.server_id.in_(list(servers)))
    if verdict is not None:
        rows = rows.where(DecisionRow.verdict == verdict.value)
    if digest:
        rows = rows.where(DecisionRow.manifest_digest == digest)
    if before is not None:
        rows = rows.where(DecisionRow.id < before)
    return [_stored(row) for row in rows]


def get(decision_id: int) -> StoredDecision | None:
    """Return one decision, if there is such a one."""
    row = DecisionRow.get_or_none(DecisionRow.id == decision_id)
    return _stored(row) if row else None


def _stored(row: DecisionRow) -> StoredDecision:
    values = {name: getattr(row, name) for name in _OWN}
    values |= {name: tuple(values[name]) for name in _LISTS}
    values["verdict"] = Verdict(row.verdict)
    return StoredDecision(
        id=row.id,
        server_id=row.server_id,
        deployment_id=row.deployment_id,
        purpose=Purpose(row.purpose),
        decided_at=row.decided_at,
        document_version=row.document_version,
        decision=Decision(**values),
        facts=row.facts,
    )


def prune(before: datetime) -> int:
    """Remove decisions older than this, but those that hold something or by which something runs; return how many went."""
    done = proxy.execute_sql(
        "DELETE FROM runtime_policy_decisions d WHERE d.decided_at < %s"
        " AND NOT EXISTS (SELECT FROM policy_holds h WHERE h.decision_id = d.id)"
        " AND NOT EXISTS (SELECT FROM instances i WHERE i.decision_id = d.id)",
        (before,),
    )
    return int(done.rowcount)
