"""Events, usage metrics and the audit trail as rows (migrations 0001, 0002, 0004, 0037)."""

from peewee import BigAutoField, BigIntegerField, IntegerField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class EventRow(Table):
    """Something that a page may show live."""

    id = BigAutoField()
    at = DateTimeTZField()
    kind = TextField()
    server_id = BigIntegerField(null=True)
    data = BinaryJSONField(index=False)

    class Meta:
        table_name = "events"


class UsageMetricRow(Table):
    """One thing that a server did or that was done to it."""

    id = BigAutoField()
    server_id = BigIntegerField()
    event_type = TextField()
    details = BinaryJSONField(index=False)
    created_at = DateTimeTZField()

    class Meta:
        table_name = "usage_metrics"


class AuditEventRow(Table):
    """One write, or one attempt at it."""

    id = BigAutoField()
    at = DateTimeTZField()
    actor_id = BigIntegerField(null=True)
    actor = TextField()
    action = TextField()
    object_type = TextField()
    object_id = BigIntegerField(null=True)
    object_name = TextField()
    outcome = TextField()
    request_id = TextField()
    address = TextField()
    details = BinaryJSONField(index=False)
    via = TextField()
    credential_id = BigIntegerField(null=True)
    reason = TextField()
    before = BinaryJSONField(null=True, index=False)
    after = BinaryJSONField(null=True, index=False)
    seq = BigIntegerField(null=True)
    prev_hash = TextField(null=True)
    row_hash = TextField(null=True)

    class Meta:
        table_name = "audit_events"


class AuditChainRow(Table):
    """The one row that says where the chain begins and ends."""

    id = IntegerField(primary_key=True)
    events = BigIntegerField()
    head_hash = TextField()
    pruned = BigIntegerField()
    pruned_hash = TextField()
    checked_at = DateTimeTZField(null=True)
    problem = TextField()

    class Meta:
        table_name = "audit_chain"
