"""Changes of runs as they are written: the rule, the rows, and what follows, in one transaction.

Every function runs inside ``database.run``. Whoever calls them has decided who may.
"""

from datetime import datetime
from typing import Any

from appliance.accounts.model import Principal
from appliance.core.errors import InvalidError
from appliance.core.tiers import matches
from appliance.governance import store, transitions, workflow_store
from appliance.governance.model import (
    CHANGED,
    NOTIFY,
    REVIEW,
    STEP,
    SYNCHRONISE,
    NewRun,
    Outcome,
    Run,
    Status,
    Workflow,
)
from appliance.governance.steps import KINDS
from appliance.governance.transitions import Change
from appliance.jobs.queue import enqueue
from appliance.observability.audit import Actor
from appliance.observability.audit import record as audit
from appliance.observability.events import publish_in_transaction

#: Looks at a step, and calls of a webhook, before it is given up: with pauses of up to five minutes, about two hours.
STEP_ATTEMPTS = 30
NOTIFY_ATTEMPTS = 8


def start(actor: Principal, workflow: Workflow, new: NewRun) -> Run:
    """Insert a run of a workflow, and begin it unless it shall wait.

    Raises:
        InvalidError: The workflow is not for the tier.
    """
    if not matches(new.target.tier, workflow.tier):
        raise InvalidError.field(
            "tier",
            f"the workflow {workflow.name} is for {workflow.tier}, not {new.target.tier}",
        )
    at = store.moment()
    run = store.add(
        workflow, new, actor=actor, secret=workflow_store.secret(workflow.id), at=at
    )
    trail(
        actor,
        "governance.start",
        run,
        {"workflow": workflow.name, "tier": run.tier, "manifest_digest": run.digest},
    )
    if not new.begins:
        return run
    return settle(run, transitions.begin(run, at), actor=actor, at=at)


def settle(before: Run, change: Change, *, actor: Actor, at: datetime) -> Run:
    """Write a change of a run, publish it, and enqueue what follows from it."""
    run = store.keep(before, change.run, change.lines, actor=actor, at=at)
    for position in change.opened:
        _open(run, position)
    enqueue(SYNCHRONISE, {"run_id": run.id}, lane=f"promotion-run:{run.id}")
    if run.status.is_ended:
        enqueue(REVIEW, {"digest": run.digest}, lane=f"policy:{run.digest}")
        _notify(run, "ended", None)
    publish_in_transaction(
        CHANGED,
        None,
        {"run_id": run.id, "status": run.status.value, "version": run.version},
    )
    return run


def end_step(
    step_run_id: int, outcome: Outcome, summary: str, evidence: Any, *, actor: Actor
) -> Run | None:
    """End an automatic step whose turn it is; told twice, it counts once.

    Returns:
        The run; ``None``: the step's turn was over.
    """
    run_id = store.run_of_step(step_run_id)
    if run_id is None:
        return None
    run = store.locked(run_id)
    step = run.current
    if run.status.is_ended or step is None or step.id != step_run_id:
        return None
    at = store.moment()
    change = transitions.end_step(
        run, step.position, outcome, summary=summary, evidence=evidence, at=at
    )
    return settle(run, change, actor=actor, at=at)


def set_status(
    actor: Principal, run_id: int, status: Status, note: str, *, version: int | None
) -> Run:
    """Set a run's status by hand.

    Raises:
        RunEndedError: It has ended.
        StepsOpenError: It shall be complete, and steps are open.
        StaleVersionError: It is another version by now.
    """
    run = store.locked(run_id, version=version)
    at = store.moment()
    change = transitions.set_status(run, status, note, at)
    after = settle(run, change, actor=actor, at=at)
    trail(
        actor,
        "governance.set_status",
        after,
        {"from": run.status.value, "to": after.status.value, "note": note},
    )
    return after


def cancel(actor: Actor, run_id: int, reason: str) -> None:
    """Cancel a run, unless it has ended."""
    run = store.locked(run_id)
    if run.status.is_ended:
        return
    at = store.moment()
    change = transitions.set_status(run, Status.CANCELLED, reason, at)
    settle(run, change, actor=actor, at=at)


def expire(run_id: int, actor: Actor) -> None:
    """End a run whose time, or whose step's time, is over by Postgres' clock."""
    run = store.locked(run_id)
    at = store.moment()
    if (change := transitions.overdue(run, at)) is not None:
        settle(run, change, actor=actor, at=at)


def write_down(run_id: int, kind: str, note: str, *, actor: Actor) -> None:
    """Add a line to a run's log that changes nothing else."""
    line = transitions.Line(kind, note)
    store.log(run_id, [line], actor=actor, at=store.moment())


def trail(actor: Actor, action: str, run: Run, details: dict[str, Any]) -> None:
    """Write a line about a run into the audit trail."""
    audit(
        actor,
        action,
        object_type="governance_run",
        object_id=run.id,
        object_name=run.title,
        details=details,
    )


def work_on(step_run_id: int) -> None:
    """Have an automatic step looked at; where that is to happen already, it happens once."""
    enqueue(
        STEP,
        {"step_run_id": step_run_id},
        lane=f"governance-step:{step_run_id}",
        max_attempts=STEP_ATTEMPTS,
    )


def _open(run: Run, position: int) -> None:
    step = run.steps[position - 1]
    if KINDS[step.kind].is_automatic:
        work_on(step.id)
    else:
        _notify(run, "waiting", position)


def _notify(run: Run, what: str, position: int | None) -> None:
    notify = run.notify
    for channel, addresses in (("email", notify.emails), ("webhook", notify.webhooks)):
        for address in addresses:
            payload = {
                "run_id": run.id,
                "what": what,
                "position": position,
                "channel": channel,
                "to": address,
            }
            enqueue(NOTIFY, payload, max_attempts=NOTIFY_ATTEMPTS)
