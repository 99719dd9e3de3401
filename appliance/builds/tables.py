"""Builds and their logs as rows (migration 0003)."""

from peewee import BigAutoField, BigIntegerField, CompositeKey, IntegerField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class BuildRow(Table):
    """One build; one per deployment."""

    id = BigAutoField()
    deployment_id = BigIntegerField()
    server_id = BigIntegerField()
    state = TextField()
    attempt = IntegerField()
    image = TextField(null=True)
    image_digest = TextField(null=True)
    base_image = TextField(null=True)
    dockerfile = TextField()
    resolved = BinaryJSONField(index=False)
    error = TextField()
    started_at = DateTimeTZField()
    finished_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "builds"


class BuildLogLineRow(Table):
    """One line of a build's log."""

    build_id = BigIntegerField()
    number = IntegerField()
    at = DateTimeTZField()
    line = TextField()

    class Meta:
        table_name = "build_log_lines"
        primary_key = CompositeKey("build_id", "number")
