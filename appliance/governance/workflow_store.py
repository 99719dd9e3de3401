"""Queries about workflows; rows in, model objects out. Every function runs inside ``database.run``."""

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import SQL, IntegrityError

from appliance.accounts import sights
from appliance.accounts.access import Sight
from appliance.accounts.orgs.model import Owner
from appliance.governance.errors import (
    WorkflowInUseError,
    WorkflowNameTakenError,
    WorkflowNotFoundError,
)
from appliance.governance.model import NewWorkflow, Notify, Step, Workflow
from appliance.governance.tables import StepRow, WorkflowRow
from appliance.governance.versions import require_version

NOW = SQL("now()")


def find(workflow: int | str) -> Workflow | None:
    """Return the workflow of this id or name, if there is one."""
    is_it = (
        WorkflowRow.id == workflow
        if isinstance(workflow, int)
        else WorkflowRow.name == workflow
    )
    row = WorkflowRow.get_or_none(is_it)
    return _workflows([row])[0] if row else None


def get(workflow_id: int) -> Workflow:
    """Return one workflow.

    Raises:
        WorkflowNotFoundError: There is none of this id.
    """
    found = find(workflow_id)
    if found is None:
        raise WorkflowNotFoundError(f"There is no workflow {workflow_id}.")
    return found


def lock(workflow_id: int) -> None:
    """Let nobody else change the workflow until the transaction ends."""
    WorkflowRow.select(WorkflowRow.id).where(
        WorkflowRow.id == workflow_id
    ).for_update().execute()


def names_of_org(org_id: int) -> tuple[str, ...]:
    """Return the names of an organisation's workflows, in order."""
    rows = WorkflowRow.select(WorkflowRow.name).where(WorkflowRow.org_id == org_id)
    return tuple(row.name for row in rows.order_by(WorkflowRow.name))


def page(sight: Sight, *, after: str, limit: int) -> list[Workflow]:
    """Return up to ``limit`` workflows that may be shown, by name, from the first name after ``after``."""
    rows = (
        WorkflowRow.select()
        .where(WorkflowRow.name > after)
        .order_by(WorkflowRow.name)
        .limit(limit)
    )
    rows = sights.shown(rows, sight, owner=WorkflowRow.owner_id, org=WorkflowRow.org_id)
    return _workflows(list(rows))


def add(new: NewWorkflow, *, owner: Owner, created_by: str, secret: bytes) -> int:
    """Insert a workflow with its steps and return its id.

    Raises:
        WorkflowNameTakenError: Another one has the name.
    """
    try:
        row = WorkflowRow.create(
            **_columns(new),
            owner_id=owner.user_id,
            org_id=owner.org_id,
            version=1,
            webhook_secret=secret,
            created_by=created_by,
            created_at=NOW,
            updated_at=NOW,
        )
    except IntegrityError as error:
        raise _taken(new.name) from error
    _set_steps(row.id, new.steps)
    return int(row.id)


def change(workflow: Workflow, wanted: NewWorkflow, version: int | None) -> None:
    """Replace what a workflow says and its steps; runs that go on keep their own.

    Args:
        workflow: As it is, locked.
        wanted: As it shall be.
        version: What its changer saw; ``None``: whatever there is.

    Raises:
        StaleVersionError: It is another version by now.
        WorkflowNameTakenError: Another one has the name.
    """
    require_version(version, workflow.version, f"The workflow {workflow.name} is")
    try:
        WorkflowRow.update(
            **_columns(wanted), version=workflow.version + 1, updated_at=NOW
        ).where(WorkflowRow.id == workflow.id).execute()
    except IntegrityError as error:
        raise _taken(wanted.name) from error
    StepRow.delete().where(StepRow.workflow_id == workflow.id).execute()
    _set_steps(workflow.id, wanted.steps)


def set_secret(workflow_id: int, secret: bytes) -> None:
    """Replace what outgoing calls of later runs are signed with."""
    WorkflowRow.update(webhook_secret=secret).where(
        WorkflowRow.id == workflow_id
    ).execute()


def secret(workflow_id: int) -> bytes:
    """Return with what calls are signed, sealed."""
    return bytes(WorkflowRow.get(WorkflowRow.id == workflow_id).webhook_secret)


def delete(workflow_id: int) -> None:
    """Remove a workflow; what ran of it stays.

    Raises:
        WorkflowInUseError: A track would lose what decides about it.
    """
    try:
        WorkflowRow.delete().where(WorkflowRow.id == workflow_id).execute()
    except IntegrityError as error:
        raise WorkflowInUseError(
            "A promotion track goes by this workflow.",
            hint="Give the track another one first.",
        ) from error


def names(workflow_ids: Sequence[int]) -> dict[int, str]:
    """Return the names of these workflows."""
    rows = WorkflowRow.select(WorkflowRow.id, WorkflowRow.name)
    return {row.id: row.name for row in rows.where(WorkflowRow.id.in_(workflow_ids))}


def notify_of(value: Mapping[str, Any]) -> Notify:
    """Return who is told, of a row's column."""
    return Notify(tuple(value.get("emails", ())), tuple(value.get("webhooks", ())))


def _columns(new: NewWorkflow) -> dict[str, Any]:
    return {
        "name": new.name,
        "description": new.description,
        "tier": new.tier,
        "expires_after_s": new.expires_after_s,
        "notify": {
            "emails": list(new.notify.emails),
            "webhooks": list(new.notify.webhooks),
        },
    }


def _set_steps(workflow_id: int, steps: Sequence[Step]) -> None:
    for position, step in enumerate(steps, 1):
        StepRow.insert(
            workflow_id=workflow_id,
            position=position,
            name=step.name,
            kind=step.kind,
            config=dict(step.config),
            timeout_s=step.timeout_s,
        ).execute()


def _workflows(rows: Sequence[WorkflowRow]) -> list[Workflow]:
    """Return the workflows with their steps: one query more, however many there are."""
    ids = [row.id for row in rows]
    steps: dict[int, list[Step]] = {}
    found = StepRow.select().where(StepRow.workflow_id.in_(ids))
    for item in found.order_by(StepRow.workflow_id, StepRow.position) if ids else ():
        step = Step(item.name, item.kind, item.config, item.timeout_s)
        steps.setdefault(item.workflow_id, []).append(step)
    return [
        Workflow(
            id=row.id,
            name=row.name,
            description=row.description,
            tier=row.tier,
            owner_id=row.owner_id,
            org_id=row.org_id,
            version=row.version,
            expires_after_s=row.expires_after_s,
            notify=notify_of(row.notify),
            steps=tuple(steps.get(row.id, ())),
            created_by=row.created_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def _taken(name: str) -> WorkflowNameTakenError:
    return WorkflowNameTakenError(
        f"A workflow named {name} exists already.", hint="Choose another name."
    )
