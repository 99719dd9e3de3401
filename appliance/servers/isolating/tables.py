"""Limits that servers ran into, as rows."""

from peewee import BigIntegerField, CompositeKey, TextField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class LimitHitRow(Table):
    """How often a server ran into one of its limits."""

    server_id = BigIntegerField()
    what = TextField()
    times = BigIntegerField()
    container_id = TextField()
    counter = BigIntegerField()
    first_at = DateTimeTZField()
    last_at = DateTimeTZField()

    class Meta:
        table_name = "server_limit_hits"
        primary_key = CompositeKey("server_id", "what")
