"""Runs and their results as rows; every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from peewee import fn

from appliance.evaluations.errors import RunFinishedError, RunNotFoundError
from appliance.evaluations.store import moment
from appliance.evaluations.suites import (
    Outcome,
    Result,
    Run,
    RunKind,
    RunState,
    Version,
)
from appliance.evaluations.tables import ResultRow, RunRow
from appliance.infra.database import proxy
from appliance.observability.events import publish_in_transaction

_OWN = tuple(
    name
    for name in Run.__dataclass_fields__
    if name not in {"kind", "state", "results"}
)
_RESULT = tuple(Result.__dataclass_fields__)
_OPEN = (RunState.QUEUED.value, RunState.RUNNING.value)
#: Runs of a server that are kept, besides those that a certification names.
KEEP_RUNS = 200
KEEP_FOR = timedelta(days=90)


def add(  # noqa: PLR0913 - the columns of a row
    version: Version,
    kind: RunKind,
    *,
    plan: Mapping[str, Any],
    total: int,
    requested_by: str,
    suite_id: int | None = None,
    suite_name: str = "",
    for_step: int | None = None,
) -> Run:
    """Queue a run of a version."""
    row = RunRow.create(
        kind=kind.value,
        server_id=version.server_id,
        server_name=version.server_name,
        suite_id=suite_id,
        suite_name=suite_name,
        deployment_id=version.deployment_id,
        deployment_number=version.number,
        is_candidate=version.is_candidate,
        digest=version.digest,
        tier=version.tier,
        artifact_run_id=version.artifact_run_id,
        plan=dict(plan),
        state=RunState.QUEUED.value,
        reason="",
        total=total,
        done=0,
        passed=0,
        score=0.0,
        summary={},
        requested_by=requested_by,
        for_step=for_step,
        created_at=moment(),
    )
    found = _run(row)
    _tell(found)
    return found


def get(run_id: int, *, lock: bool = False) -> Run:
    """Return one run, without its results.

    Raises:
        RunNotFoundError: There is none of this id.
    """
    query = RunRow.select().where(RunRow.id == run_id)
    row = (query.for_update() if lock else query).get_or_none()
    if row is None:
        raise RunNotFoundError(f"There is no run {run_id}.")
    return _run(row)


def whole(run_id: int) -> Run:
    """Return one run with its results.

    Raises:
        RunNotFoundError: There is none of this id.
    """
    return replace(get(run_id), results=tuple(results(run_id)))


def of_step(for_step: int) -> Run | None:
    """Return the run that a governance step asked for, if it did."""
    row = RunRow.get_or_none(RunRow.for_step == for_step)
    return _run(row) if row else None


def page(
    server_id: int,
    *,
    suite_id: int | None = None,
    kind: RunKind | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Run]:
    """Return runs of a server, newest first; ``before`` is the cursor."""
    rows = RunRow.select().where(RunRow.server_id == server_id)
    if suite_id is not None:
        rows = rows.where(RunRow.suite_id == suite_id)
    if kind is not None:
        rows = rows.where(RunRow.kind == kind.value)
    if before is not None:
        rows = rows.where(RunRow.id < before)
    return [_run(row) for row in rows.order_by(RunRow.id.desc()).limit(limit)]


def newest_of_suites(server_ids: Collection[int], each: int) -> list[Run]:
    """Return the newest runs of every suite of these servers that said something of a version, newest first."""
    if not server_ids:
        return []
    found = proxy.execute_sql(
        "SELECT r.id FROM evaluation_suites s CROSS JOIN LATERAL ("
        " SELECT id FROM evaluation_runs WHERE suite_id = s.id AND state IN ('passed', 'failed')"
        " ORDER BY id DESC LIMIT %s) r WHERE s.server_id = ANY(%s)",
        (each, list(server_ids)),
    ).fetchall()
    ids = [run_id for (run_id,) in found]
    if not ids:
        return []
    rows = RunRow.select().where(RunRow.id.in_(ids)).order_by(RunRow.id.desc())
    return [_run(row) for row in rows]


def is_open(suite_id: int) -> bool:
    """Tell whether a run of a suite waits or goes on."""
    return bool(
        RunRow.select()
        .where(RunRow.suite_id == suite_id, RunRow.state.in_(_OPEN))
        .exists()
    )


def results(run_id: int) -> list[Result]:
    """Return what came of a run's calls, in their order."""
    rows = ResultRow.select().where(ResultRow.run_id == run_id)
    return [_result(row) for row in rows.order_by(ResultRow.position)]


def result(run_id: int, position: int) -> Result | None:
    """Return what came of one call of a run."""
    row = ResultRow.get_or_none(
        ResultRow.run_id == run_id, ResultRow.position == position
    )
    return _result(row) if row else None


# -- its life


def set_job(run_id: int, job_id: int) -> None:
    """Note by which job it is run."""
    RunRow.update(job_id=job_id).where(RunRow.id == run_id).execute()


def begin(run_id: int, plan: Mapping[str, Any], total: int) -> Run | None:
    """Mark a run as running; ``None``: it has ended. Begun again after a crash it goes on."""
    found = get(run_id, lock=True)
    if found.state.is_finished:
        return None
    RunRow.update(
        state=RunState.RUNNING.value,
        started_at=fn.COALESCE(RunRow.started_at, fn.now()),
        plan=dict(plan),
        total=total,
    ).where(RunRow.id == run_id).execute()
    found = get(run_id)
    _tell(found)
    return found


def add_result(run_id: int, new: Result) -> Run | None:
    """Keep what came of one call; ``None``: the run has ended meanwhile."""
    found = get(run_id, lock=True)
    if found.state is not RunState.RUNNING:
        return None
    values = {name: getattr(new, name) for name in _RESULT} | {
        "run_id": run_id,
        "outcome": new.outcome.value,
        "arguments": dict(new.arguments),
        "differences": [dict(item) for item in new.differences],
    }
    ResultRow.insert(**values).on_conflict_ignore().execute()
    known = results(run_id)
    passed = sum(item.outcome is Outcome.PASSED for item in known)
    score = sum(item.score for item in known) / max(found.total, len(known), 1)
    RunRow.update(done=len(known), passed=passed, score=score).where(
        RunRow.id == run_id
    ).execute()
    found = get(run_id)
    _tell(found)
    return found


def end(
    run_id: int,
    state: RunState,
    *,
    reason: str = "",
    summary: Mapping[str, Any] | None = None,
    certification_id: int | None = None,
) -> Run:
    """Mark a run as ended.

    Raises:
        RunFinishedError: It has ended.
    """
    found = get(run_id, lock=True)
    if found.state.is_finished:
        raise RunFinishedError(f"Run {run_id} has ended: {found.state.value}.")
    RunRow.update(
        state=state.value,
        reason=reason,
        summary=dict(summary or {}),
        certification_id=certification_id,
        finished_at=fn.now(),
    ).where(RunRow.id == run_id).execute()
    found = get(run_id)
    _tell(found)
    return found


def note(run_id: int, *, reason: str, certification_id: int | None) -> None:
    """Add to an ended run what became of its certification."""
    RunRow.update(reason=reason, certification_id=certification_id).where(
        RunRow.id == run_id
    ).execute()


def update_differences(
    run_id: int, changed: Sequence[Result], summary: Mapping[str, Any]
) -> Run:
    """Write what an ended replay says now that more, or fewer, differences are accepted."""
    for item in changed:
        ResultRow.update(
            differences=[dict(difference) for difference in item.differences],
            outcome=item.outcome.value,
            score=item.score,
            problem=item.problem,
        ).where(
            ResultRow.run_id == run_id, ResultRow.position == item.position
        ).execute()
    known = results(run_id)
    passed = sum(item.outcome is Outcome.PASSED for item in known)
    RunRow.update(summary=dict(summary), passed=passed).where(
        RunRow.id == run_id
    ).execute()
    found = get(run_id)
    _tell(found)
    return found


def prune() -> int:
    """Remove old runs and all but the newest of each server, save those that a certification names; return how many went."""
    cursor = proxy.execute_sql(
        "DELETE FROM evaluation_runs r USING ("
        " SELECT id, row_number() OVER (PARTITION BY server_id ORDER BY id DESC) AS place FROM evaluation_runs) o"
        " WHERE r.id = o.id AND r.finished_at IS NOT NULL AND (o.place > %s OR r.finished_at < now() - %s)"
        " AND NOT EXISTS (SELECT FROM evaluation_certifications c WHERE c.evaluation_run_id = r.id)",
        (KEEP_RUNS, KEEP_FOR),
    )
    return int(cursor.rowcount)


def abandoned(limit: int) -> list[tuple[int, str]]:
    """Return open runs whose job has ended, or is gone, with what went wrong; holds their rows."""
    found = proxy.execute_sql(
        "SELECT r.id, coalesce(nullif(j.error, ''), 'The job that ran it is gone.') FROM evaluation_runs r"
        " LEFT JOIN jobs j ON j.id = r.job_id"
        " WHERE r.state IN ('queued', 'running') AND (j.id IS NULL OR j.state NOT IN ('queued', 'running'))"
        " AND r.created_at < now() ORDER BY r.id LIMIT %s FOR UPDATE OF r SKIP LOCKED",
        (limit,),
    ).fetchall()
    return [(run_id, why) for run_id, why in found]


def _tell(run: Run) -> None:
    publish_in_transaction(
        "evaluation.run",
        run.server_id,
        {
            "run_id": run.id,
            "kind": run.kind.value,
            "state": run.state.value,
            "done": run.done,
            "total": run.total,
            "passed": run.passed,
        },
    )


def _run(row: RunRow) -> Run:
    return Run(
        **{name: getattr(row, name) for name in _OWN},
        kind=RunKind(row.kind),
        state=RunState(row.state),
    )


def _result(row: ResultRow) -> Result:
    values = {name: getattr(row, name) for name in _RESULT}
    values |= {
        "outcome": Outcome(row.outcome),
        "differences": tuple(row.differences),
    }
    return Result(**values)
