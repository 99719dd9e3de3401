"""Invocations and what the scribe has read, as rows (migration 0007)."""

from peewee import (
    BigIntegerField,
    CompositeKey,
    DoubleField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class InvocationRow(Table):
    """One call."""

    id = BigIntegerField()
    started_at = DateTimeTZField()
    duration_ms = DoubleField()
    server_id = BigIntegerField()
    bundle_id = BigIntegerField(null=True)
    deployment_id = BigIntegerField(null=True)
    principal = TextField()
    method = TextField()
    target = TextField()
    http_status = IntegerField()
    error_class = TextField()
    rpc_code = IntegerField(null=True)
    request_bytes = BigIntegerField()
    response_bytes = BigIntegerField()
    traceparent = TextField()
    request = TextField(null=True)
    response = TextField(null=True)

    class Meta:
        table_name = "invocations"
        primary_key = CompositeKey("id", "started_at")


class SpoolRow(Table):
    """How many bytes of one spool segment are rows already."""

    segment = TextField(primary_key=True)
    position = BigIntegerField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "invocation_spools"
