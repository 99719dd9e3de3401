"""Backups as rows (migration 0057)."""

from peewee import BigAutoField, BigIntegerField, BooleanField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class BackupRow(Table):
    """One backup."""

    id = BigAutoField()
    name = TextField()
    target = TextField()
    state = TextField()
    is_scheduled = BooleanField()
    requested_by = TextField()
    started_at = DateTimeTZField()
    finished_at = DateTimeTZField(null=True)
    verified_at = DateTimeTZField(null=True)
    size_bytes = BigIntegerField()
    progress = BinaryJSONField(index=False)
    error = TextField()
    summary = BinaryJSONField(index=False)
    cancel_requested = BooleanField()

    class Meta:
        table_name = "backups"
