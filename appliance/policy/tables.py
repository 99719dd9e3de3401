"""Documents, decisions and holds as rows (migration 0043)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class DocumentRow(Table):
    """One version of the policy."""

    version = IntegerField(primary_key=True)
    body = BinaryJSONField(index=False)
    is_active = BooleanField()
    note = TextField()
    created_by = TextField()
    created_at = DateTimeTZField()
    activated_by = TextField()
    activated_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "policy_documents"


class DecisionRow(Table):
    """One decision, with all that it was made of."""

    id = BigAutoField()
    server_id = BigIntegerField()
    deployment_id = BigIntegerField(null=True)
    purpose = TextField()
    decided_at = DateTimeTZField()
    document_version = IntegerField(null=True)
    verdict = TextField()
    backend = TextField()
    candidate_backend = TextField()
    executor_name = TextField()
    image = TextField()
    build_required = BooleanField()
    capability_requirements = BinaryJSONField(index=False)
    capabilities_satisfied = BooleanField()
    manifest_digest = TextField(null=True)
    artifact_run_id = BigIntegerField(null=True)
    tier = TextField()
    evaluation_required = BooleanField()
    governance_required = BooleanField()
    ends_running = BooleanField()
    reuses = IntegerField(null=True)
    notes = BinaryJSONField(index=False)
    actions = BinaryJSONField(index=False)
    reason = TextField()
    facts = BinaryJSONField(index=False)
    fingerprint = TextField()

    class Meta:
        table_name = "runtime_policy_decisions"


class HoldRow(Table):
    """A deployment that may not run for now."""

    deployment_id = BigIntegerField(primary_key=True)
    server_id = BigIntegerField()
    decision_id = BigIntegerField()
    verdict = TextField()
    digest = TextField(null=True)
    since = DateTimeTZField()
    ends_running = BooleanField()

    class Meta:
        table_name = "policy_holds"
