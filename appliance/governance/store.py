"""Queries about runs; rows in, model objects out. Every function runs inside ``database.run``.

Whoever changes a run holds its row: ``locked`` first, then a rule of ``transitions``, then ``keep``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL, fn

from appliance.accounts import sights
from appliance.accounts.access import Sight
from appliance.governance.errors import RunNotFoundError
from appliance.governance.model import (
    Approval,
    NewRun,
    Run,
    RunLine,
    Status,
    StepRun,
    Verdict,
    Workflow,
)
from appliance.governance.steps import APPROVAL
from appliance.governance.tables import (
    ApprovalRow,
    RunEventRow,
    RunRow,
    StepRunRow,
)
from appliance.governance.transitions import Line
from appliance.governance.versions import require_version
from appliance.governance.workflow_store import notify_of
from appliance.infra.database import proxy
from appliance.observability.audit import Actor

NOW = SQL("now()")
_OPEN = [Status.PENDING.value, Status.IN_PROGRESS.value]
#: Runs whose approvals are looked through for one inbox.
INBOX = 500


def moment() -> datetime:
    """Return the present moment by Postgres' clock: the same for the whole transaction."""
    (at,) = proxy.execute_sql("SELECT now()").fetchone()
    return at  # type: ignore[no-any-return]  # psycopg2's driver says nothing of types


def add(
    workflow: Workflow, new: NewRun, *, actor: Actor, secret: bytes, at: datetime
) -> Run:
    """Insert a pending run with a copy of all that it needs of its workflow."""
    expires = (
        at + timedelta(seconds=workflow.expires_after_s)
        if workflow.expires_after_s
        else None
    )
    row = RunRow.create(
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        workflow_version=workflow.version,
        owner_id=workflow.owner_id,
        org_id=workflow.org_id,
        tier=new.target.tier,
        manifest_digest=new.target.digest,
        artifact_run_id=new.target.artifact_run_id,
        title=new.title,
        status=Status.PENDING.value,
        reason="",
        version=1,
        notify=asdict(workflow.notify),
        webhook_secret=secret,
        started_by_id=actor.user_id,
        started_by=actor.name,
        created_at=at,
        updated_at=at,
        expires_at=expires,
    )
    for position, step in enumerate(workflow.steps, 1):
        StepRunRow.insert(
            run_id=row.id,
            position=position,
            name=step.name,
            kind=step.kind,
            config=dict(step.config),
            timeout_s=step.timeout_s,
            status=Status.PENDING.value,
            summary="",
            progress={},
        ).execute()
    return get(row.id)


def get(run_id: int) -> Run:
    """Return one run.

    Raises:
        RunNotFoundError: There is none of this id.
    """
    row = RunRow.get_or_none(RunRow.id == run_id)
    if row is None:
        raise RunNotFoundError(f"There is no run {run_id}.")
    return _runs([row])[0]


def locked(run_id: int, *, version: int | None = None) -> Run:
    """Return one run that nobody else changes until the transaction ends.

    Args:
        run_id: Which.
        version: What its changer saw; ``None``: whatever there is.

    Raises:
        RunNotFoundError: There is none of this id.
        StaleVersionError: It is another version by now.
    """
    RunRow.select(RunRow.id).where(RunRow.id == run_id).for_update().execute()
    run = get(run_id)
    require_version(version, run.version, f"Run {run.id} is {run.status.value}")
    return run


def keep(
    before: Run, after: Run, lines: Sequence[Line], *, actor: Actor, at: datetime
) -> Run:
    """Write what differs between two states of a run, and what happened; return it with its new version."""
    RunRow.update(
        status=after.status.value,
        reason=after.reason,
        version=before.version + 1,
        updated_at=at,
        ended_at=after.ended_at,
    ).where(RunRow.id == after.id).execute()
    known = {item.id: item for item in before.steps}
    for step in after.steps:
        if step != known[step.id]:
            _keep_step(known[step.id], step)
    log(after.id, lines, actor=actor, at=at)
    return get(after.id)


def remember(step_run_id: int, progress: Mapping[str, Any]) -> None:
    """Write down what an automatic step wants to know at its next look, if its turn is not over."""
    StepRunRow.update(progress=dict(progress)).where(
        StepRunRow.id == step_run_id,
        StepRunRow.status == Status.IN_PROGRESS.value,
    ).execute()


def _keep_step(before: StepRun, step: StepRun) -> None:
    StepRunRow.update(
        status=step.status.value,
        summary=step.summary,
        evidence=step.evidence,
        progress=dict(step.progress),
        started_at=step.started_at,
        ended_at=step.ended_at,
        due_at=step.due_at,
    ).where(StepRunRow.id == step.id).execute()
    for item in step.approvals[len(before.approvals) :]:
        ApprovalRow.insert(
            step_run_id=step.id,
            user_id=item.user_id,
            person=item.person,
            verdict=item.verdict.value,
            groups=list(item.groups),
            comment=item.comment,
            at=item.at,
        ).execute()


def log(run_id: int, lines: Sequence[Line], *, actor: Actor, at: datetime) -> None:
    """Write lines of a run's log."""
    for line in lines:
        RunEventRow.insert(
            run_id=run_id,
            position=line.position,
            at=at,
            actor_id=actor.user_id,
            actor=actor.name,
            kind=line.kind,
            note=line.note,
        ).execute()


def lines(run_id: int) -> list[RunLine]:
    """Return a run's log, oldest first."""
    rows = RunEventRow.select().where(RunEventRow.run_id == run_id)
    return [
        RunLine(row.id, row.position, row.at, row.actor, row.kind, row.note)
        for row in rows.order_by(RunEventRow.id)
    ]


def run_of_step(step_run_id: int) -> int | None:
    """Return the run of a step, if there is such a one."""
    row = StepRunRow.get_or_none(StepRunRow.id == step_run_id)
    return row.run_id if row else None


def secret(run_id: int) -> bytes:
    """Return with what a run's calls are signed, sealed."""
    return bytes(RunRow.get(RunRow.id == run_id).webhook_secret)


def page(  # noqa: PLR0913 - every one narrows the list
    sight: Sight,
    *,
    named: Any = None,
    status: Status | None = None,
    workflow_id: int | None = None,
    digest: str = "",
    before: int | None = None,
    limit: int = 50,
) -> list[Run]:
    """Return up to ``limit`` runs, newest first.

    Args:
        sight: What may be shown.
        named: Also those of which a step names somebody; as ``named_in`` returns it.
        status: Only these.
        workflow_id: Only this workflow's.
        digest: Only about this digest.
        before: Only those older than this run.
        limit: At most so many.
    """
    rows = RunRow.select().order_by(RunRow.id.desc()).limit(limit)
    if sight.servers is not None:
        return []
    if not sight.everything:
        allowed = sights.among(sight, owner=RunRow.owner_id, org=RunRow.org_id)
        rows = rows.where(allowed if named is None else allowed | RunRow.id.in_(named))
    wanted: dict[Any, Any] = {
        RunRow.status: status.value if status else None,
        RunRow.workflow_id: workflow_id,
        RunRow.manifest_digest: digest or None,
    }
    for column, value in wanted.items():
        if value is not None:
            rows = rows.where(column == value)
    if before is not None:
        rows = rows.where(RunRow.id < before)
    return _runs(list(rows))


def named_in(email: str, org_ids: Sequence[int]) -> Any:
    """Return the query of runs of which a step names this person or one of these organisations."""
    who: list[dict[str, Any]] = [{"people": [email.lower()]}]
    who += [{"org_id": org_id} for org_id in org_ids]
    condition = StepRunRow.config.contains({"groups": [who[0]]})
    for item in who[1:]:
        condition |= StepRunRow.config.contains({"groups": [item]})
    return StepRunRow.select(StepRunRow.run_id).where(
        StepRunRow.kind == APPROVAL, condition
    )


def waiting() -> list[Run]:
    """Return runs at which people have to decide now, oldest first."""
    ids = (
        StepRunRow.select(StepRunRow.run_id)
        .where(
            StepRunRow.kind == APPROVAL,
            StepRunRow.status == SQL(f"'{Status.IN_PROGRESS.value}'"),
        )
        .order_by(StepRunRow.id)
        .limit(INBOX)
    )
    rows = RunRow.select().where(RunRow.id.in_(ids)).order_by(RunRow.id)
    return _runs(list(rows))


def open_of(workflow_id: int) -> int:
    """Return how many runs of a workflow go on."""
    rows = RunRow.select().where(
        RunRow.workflow_id == workflow_id, RunRow.status.in_(_OPEN)
    )
    return int(rows.count())


def overdue(at: datetime) -> list[int]:
    """Return the numbers of runs whose time, or whose step's time, is over."""
    late = RunRow.select(RunRow.id).where(
        RunRow.ended_at.is_null(), RunRow.expires_at <= at
    )
    steps = StepRunRow.select(StepRunRow.run_id).where(
        StepRunRow.status == SQL(f"'{Status.IN_PROGRESS.value}'"),
        StepRunRow.due_at <= at,
    )
    return sorted({row.id for row in late} | {row.run_id for row in steps})


def at_work() -> list[int]:
    """Return the numbers of automatic steps whose turn it is."""
    rows = StepRunRow.select(StepRunRow.id).where(
        StepRunRow.status == SQL(f"'{Status.IN_PROGRESS.value}'"),
        StepRunRow.kind != APPROVAL,
    )
    return [row.id for row in rows.order_by(StepRunRow.id)]


def statuses(run_ids: Sequence[int]) -> dict[int, tuple[Status, str]]:
    """Return status and reason of these runs."""
    rows = RunRow.select(RunRow.id, RunRow.status, RunRow.reason)
    found = rows.where(RunRow.id.in_(list(run_ids)))
    return {row.id: (Status(row.status), row.reason) for row in found}


def counts(workflow_ids: Sequence[int]) -> dict[int, int]:
    """Return how many runs of these workflows go on."""
    rows: Any = (
        RunRow.select(RunRow.workflow_id, fn.COUNT(RunRow.id))
        .where(RunRow.workflow_id.in_(list(workflow_ids)), RunRow.status.in_(_OPEN))
        .group_by(RunRow.workflow_id)
        .tuples()
    )
    return dict(rows)


def _runs(rows: Sequence[RunRow]) -> list[Run]:
    """Return the runs with their steps and approvals: two queries more, however many there are."""
    steps = _steps([row.id for row in rows])
    return [
        Run(
            id=row.id,
            workflow_id=row.workflow_id,
            workflow_name=row.workflow_name,
            workflow_version=row.workflow_version,
            owner_id=row.owner_id,
            org_id=row.org_id,
            tier=row.tier,
            digest=row.manifest_digest,
            artifact_run_id=row.artifact_run_id,
            title=row.title,
            status=Status(row.status),
            reason=row.reason,
            version=row.version,
            notify=notify_of(row.notify),
            started_by_id=row.started_by_id,
            started_by=row.started_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
            ended_at=row.ended_at,
            expires_at=row.expires_at,
            steps=tuple(steps.get(row.id, ())),
        )
        for row in rows
    ]


def _steps(run_ids: Sequence[int]) -> dict[int, list[StepRun]]:
    if not run_ids:
        return {}
    rows = list(
        StepRunRow.select()
        .where(StepRunRow.run_id.in_(list(run_ids)))
        .order_by(StepRunRow.run_id, StepRunRow.position)
    )
    approvals: dict[int, list[Approval]] = {}
    given = ApprovalRow.select().where(
        ApprovalRow.step_run_id.in_([row.id for row in rows])
    )
    for item in given.order_by(ApprovalRow.at, ApprovalRow.user_id):
        approvals.setdefault(item.step_run_id, []).append(
            Approval(
                item.user_id,
                item.person,
                Verdict(item.verdict),
                tuple(item.groups),
                item.comment,
                item.at,
            )
        )
    found: dict[int, list[StepRun]] = {}
    for row in rows:
        found.setdefault(row.run_id, []).append(
            StepRun(
                id=row.id,
                position=row.position,
                name=row.name,
                kind=row.kind,
                config=row.config,
                timeout_s=row.timeout_s,
                status=Status(row.status),
                summary=row.summary,
                evidence=row.evidence,
                progress=row.progress,
                started_at=row.started_at,
                ended_at=row.ended_at,
                due_at=row.due_at,
                approvals=tuple(approvals.get(row.id, ())),
            )
        )
    return found
