"""Workflows and their runs as rows (migration 0041)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class WorkflowRow(Table):
    """A named order of steps."""

    id = BigAutoField()
    name = TextField()
    description = TextField()
    tier = TextField()
    owner_id = BigIntegerField()
    org_id = BigIntegerField(null=True)
    version = IntegerField()
    expires_after_s = IntegerField(null=True)
    notify = BinaryJSONField(index=False)
    webhook_secret = BlobField()
    created_by = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "governance_workflows"


class StepRow(Table):
    """One step of a workflow."""

    workflow_id = BigIntegerField()
    position = IntegerField()
    name = TextField()
    kind = TextField()
    config = BinaryJSONField(index=False)
    timeout_s = IntegerField(null=True)

    class Meta:
        table_name = "governance_workflow_steps"
        primary_key = CompositeKey("workflow_id", "position")


class RunRow(Table):
    """One time that a workflow was run."""

    id = BigAutoField()
    workflow_id = BigIntegerField(null=True)
    workflow_name = TextField()
    workflow_version = IntegerField()
    owner_id = BigIntegerField()
    org_id = BigIntegerField(null=True)
    tier = TextField()
    manifest_digest = TextField()
    artifact_run_id = BigIntegerField(null=True)
    title = TextField()
    status = TextField()
    reason = TextField()
    version = IntegerField()
    notify = BinaryJSONField(index=False)
    webhook_secret = BlobField()
    started_by_id = BigIntegerField(null=True)
    started_by = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()
    ended_at = DateTimeTZField(null=True)
    expires_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "governance_runs"


class StepRunRow(Table):
    """One step of a run."""

    id = BigAutoField()
    run_id = BigIntegerField()
    position = IntegerField()
    name = TextField()
    kind = TextField()
    config = BinaryJSONField(index=False)
    timeout_s = IntegerField(null=True)
    status = TextField()
    summary = TextField()
    evidence = BinaryJSONField(index=False, null=True)
    progress = BinaryJSONField(index=False)
    started_at = DateTimeTZField(null=True)
    ended_at = DateTimeTZField(null=True)
    due_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "governance_step_runs"


class ApprovalRow(Table):
    """What one person decided about a step."""

    step_run_id = BigIntegerField()
    user_id = BigIntegerField()
    person = TextField()
    verdict = TextField()
    groups = BinaryJSONField(index=False)
    comment = TextField()
    at = DateTimeTZField()

    class Meta:
        table_name = "governance_approvals"
        primary_key = CompositeKey("step_run_id", "user_id")


class RunEventRow(Table):
    """One line of a run's log."""

    id = BigAutoField()
    run_id = BigIntegerField()
    position = IntegerField(null=True)
    at = DateTimeTZField()
    actor_id = BigIntegerField(null=True)
    actor = TextField()
    kind = TextField()
    note = TextField()

    class Meta:
        table_name = "governance_run_events"
