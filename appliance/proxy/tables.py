"""How the front door is, as a row (migration of that name)."""

from peewee import BigIntegerField, DoubleField, IntegerField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class ProxyStateRow(Table):
    """What the controller saw last; one row."""

    id = IntegerField(primary_key=True)
    seen_at = DateTimeTZField()
    nginx = TextField()
    version = TextField()
    generation = TextField()
    reloaded_at = DateTimeTZField(null=True)
    reload_s = DoubleField(null=True)
    problem = TextField()
    quarantined = BinaryJSONField(index=False)
    certificates = IntegerField()
    wildcards = IntegerField()
    requests = BigIntegerField()
    connections = IntegerField()
    reload_asked_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "proxy_state"
