"""Builds and their logs as rows (migration 0003), and what they took of packages (build_locks)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    CompositeKey,
    DateField,
    IntegerField,
    TextField,
)
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
    platforms = BinaryJSONField(index=False)
    error = TextField()
    started_at = DateTimeTZField()
    finished_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "builds"


class BuildLockRow(Table):
    """What a build of a package took, by version and hash."""

    build_id = BigIntegerField(primary_key=True)
    filename = TextField()
    content = TextField()
    package = TextField()
    version = TextField()
    as_of = DateField(null=True)
    newest = DateTimeTZField()

    class Meta:
        table_name = "build_locks"


class BuildLogLineRow(Table):
    """One line of a build's log."""

    build_id = BigIntegerField()
    number = IntegerField()
    at = DateTimeTZField()
    line = TextField()

    class Meta:
        table_name = "build_log_lines"
        primary_key = CompositeKey("build_id", "number")
