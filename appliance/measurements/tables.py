"""Samples as rows (migration of that name)."""

from peewee import BigIntegerField, CompositeKey, DoubleField, IntegerField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class SampleRow(Table):
    """What one server used in one span of time."""

    server_id = BigIntegerField()
    #: Seconds of the span.
    step_s = IntegerField()
    at = DateTimeTZField()
    cpu_s = DoubleField()
    memory_bytes = BigIntegerField()
    received_bytes = BigIntegerField()
    sent_bytes = BigIntegerField()
    containers = IntegerField()
    covered_s = DoubleField()

    class Meta:
        table_name = "server_samples"
        primary_key = CompositeKey("server_id", "step_s", "at")
