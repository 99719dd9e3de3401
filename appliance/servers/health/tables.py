"""Health and history as rows (migration 0021)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    DoubleField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class HealthRow(Table):
    """What the last checks of a server found, and when the next one is due."""

    server_id = BigIntegerField(primary_key=True)
    deployment_id = BigIntegerField(null=True)
    instance_id = BigIntegerField(null=True)
    state = TextField()
    reason = TextField()
    answer = TextField()
    cause = TextField()
    liveness = TextField()
    failures = IntegerField()
    successes = IntegerField()
    steps = BinaryJSONField(index=False)
    since = DateTimeTZField()
    checked_at = DateTimeTZField(null=True)
    duration_ms = DoubleField()
    next_check_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "server_health"


class StatusChangeRow(Table):
    """What a server's status became, and why."""

    id = BigAutoField()
    server_id = BigIntegerField()
    at = DateTimeTZField()
    before = TextField()
    after = TextField()
    reason = TextField()
    deployment_id = BigIntegerField(null=True)

    class Meta:
        table_name = "status_changes"
