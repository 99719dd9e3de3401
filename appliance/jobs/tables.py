"""Jobs and schedules as rows (migration 0002)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    DoubleField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class JobRow(Table):
    """One piece of work."""

    id = BigAutoField()
    kind = TextField()
    payload = BinaryJSONField(index=False)
    lane = TextField(null=True)
    state = TextField()
    priority = IntegerField()
    attempt = IntegerField()
    max_attempts = IntegerField()
    run_at = DateTimeTZField()
    worker = TextField(null=True)
    lease_until = DateTimeTZField(null=True)
    cancel_requested = BooleanField()
    progress = BinaryJSONField(index=False)
    error = TextField(null=True)
    request_id = TextField()
    created_at = DateTimeTZField()
    started_at = DateTimeTZField(null=True)
    finished_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "jobs"


class ScheduleRow(Table):
    """One entry of the clock."""

    name = TextField(primary_key=True)
    every_s = DoubleField()
    last_started_at = DateTimeTZField(null=True)
    last_finished_at = DateTimeTZField(null=True)
    last_error = TextField(null=True)
    next_run_at = DateTimeTZField(null=True)
    runs = BigIntegerField()
    missed = BigIntegerField()

    class Meta:
        table_name = "schedules"
