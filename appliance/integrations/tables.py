"""Services of servers, as rows (migration 0029)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    DoubleField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class ServiceRow(Table):
    """A service that a server uses."""

    id = BigAutoField()
    server_id = BigIntegerField()
    kind = TextField()
    name = TextField()
    prefix = TextField()
    settings = BinaryJSONField(index=False)
    plain = BinaryJSONField(index=False)
    secret_names = BinaryJSONField(index=False)
    created_by = TextField()
    created_at = DateTimeTZField()
    updated_by = TextField()
    updated_at = DateTimeTZField()
    tested_at = DateTimeTZField(null=True)
    test_ok = BooleanField(null=True)
    test_detail = TextField(null=True)
    test_ms = DoubleField(null=True)

    class Meta:
        table_name = "service_integrations"
