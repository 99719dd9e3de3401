"""Servers, deployments and instances as rows (migration 0003)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class ServerRow(Table):
    """A hosted server."""

    id = BigAutoField()
    name = TextField()
    owner_id = BigIntegerField()
    org_id = BigIntegerField(null=True)
    server_type = TextField()
    source = BinaryJSONField(index=False)
    config = BinaryJSONField(index=False)
    desired_state = TextField()
    status = TextField()
    status_reason = TextField()
    status_since = DateTimeTZField()
    deployment_id = BigIntegerField(null=True)
    endpoint_key_hash = BlobField()
    endpoint_key_prefix = TextField()
    crashes = IntegerField()
    last_crash_at = DateTimeTZField(null=True)
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "servers"


class DeploymentRow(Table):
    """One attempt to make a version live."""

    id = BigAutoField()
    server_id = BigIntegerField()
    number = IntegerField()
    state = TextField()
    reason = TextField()
    source = BinaryJSONField(index=False)
    config = BinaryJSONField(index=False)
    image = TextField(null=True)
    resolved = BinaryJSONField(index=False)
    manifest = BinaryJSONField(index=False, null=True)
    manifest_at = DateTimeTZField(null=True)
    #: The manifest without its lists; Postgres keeps it, nobody writes it.
    card = BinaryJSONField(index=False, null=True)
    missing_settings = BinaryJSONField(index=False)
    requested_by = TextField()
    created_at = DateTimeTZField()
    finished_at = DateTimeTZField(null=True)
    trigger = TextField()
    made_of = IntegerField(null=True)
    live_at = DateTimeTZField(null=True)
    wanted_digest = TextField()
    running_digest = TextField()
    compared_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "deployments"


class ManifestChangeRow(Table):
    """What one reading of a manifest found changed (migration 0009)."""

    id = BigAutoField()
    server_id = BigIntegerField()
    deployment_id = BigIntegerField()
    at = DateTimeTZField()
    changes = BinaryJSONField(index=False)

    class Meta:
        table_name = "manifest_changes"


class InstanceRow(Table):
    """What the gateway was told of a running instance."""

    id = BigAutoField()
    server_id = BigIntegerField()
    deployment_id = BigIntegerField()
    executor = TextField()
    name = TextField()
    container_id = TextField()
    transport = TextField()
    address = TextField()
    started_at = DateTimeTZField(null=True)
    created_at = DateTimeTZField()
    leaving_since = DateTimeTZField(null=True)
    leave_by = DateTimeTZField(null=True)
    purpose = TextField()
    decision_id = BigIntegerField(null=True)

    class Meta:
        table_name = "instances"


class CandidateLeaseRow(Table):
    """Who wants an instance of a held deployment, and for how long (migration 0044)."""

    id = BigAutoField()
    deployment_id = BigIntegerField()
    server_id = BigIntegerField()
    holder = TextField()
    until = DateTimeTZField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "candidate_leases"


class VmInstanceRow(Table):
    """What one instance was kept apart by (migration 0045)."""

    id = BigAutoField()
    server_id = BigIntegerField()
    deployment_id = BigIntegerField()
    decision_id = BigIntegerField(null=True)
    purpose = TextField()
    executor = TextField()
    name = TextField()
    container_id = TextField()
    isolation_tier = TextField()
    runtime = TextField()
    image_id = TextField()
    attestation_status = TextField()
    attestation_detail = TextField()
    started_at = DateTimeTZField()
    ended_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "runtime_vm_instances"


class VmEventRow(Table):
    """Something that became of it (migration 0045)."""

    id = BigAutoField()
    vm_instance_id = BigIntegerField()
    at = DateTimeTZField()
    event = TextField()
    detail = TextField()

    class Meta:
        table_name = "runtime_vm_events"


class DeployLockRow(Table):
    """Why a server is not deployed for a while (migration 0023)."""

    server_id = BigIntegerField(primary_key=True)
    reason = TextField()
    locked_by = TextField()
    locked_at = DateTimeTZField()

    class Meta:
        table_name = "deploy_locks"


class WebhookRow(Table):
    """By what those who may start a redeploy from outside show it (migration 0017)."""

    server_id = BigIntegerField(primary_key=True)
    secret = BlobField()
    created_by = TextField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "webhooks"


class WebhookDeliveryRow(Table):
    """One call of a webhook (migration 0017)."""

    id = BigAutoField()
    server_id = BigIntegerField()
    at = DateTimeTZField()
    door = TextField()
    event = TextField()
    delivery_id = TextField(null=True)
    body_digest = BlobField(null=True)
    outcome = TextField()
    detail = TextField()
    address = TextField()
    job_id = BigIntegerField(null=True)
    deployment_id = BigIntegerField(null=True)

    class Meta:
        table_name = "webhook_deliveries"
