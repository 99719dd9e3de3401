"""Accounts at remote servers as rows (migration 0052)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class UpstreamServerRow(Table):
    """A remote server that asked who calls."""

    server_id = BigIntegerField(primary_key=True)
    mode = TextField()
    issuer = TextField()
    challenge = TextField()
    client_id = TextField()
    has_secret = BooleanField()
    found_at = DateTimeTZField()

    class Meta:
        table_name = "upstream_servers"


class UpstreamClientRow(Table):
    """What this box is to an authorization server, where it registered itself."""

    id = BigAutoField()
    server_id = BigIntegerField()
    issuer = TextField()
    redirect_uri = TextField()
    client_id = TextField()
    auth_method = TextField()
    has_secret = BooleanField()
    registered_at = DateTimeTZField()

    class Meta:
        table_name = "upstream_clients"


class ConnectionRow(Table):
    """An account at a server."""

    id = BigAutoField()
    server_id = BigIntegerField()
    user_id = BigIntegerField(null=True)
    connected_by = TextField()
    state = TextField()
    reason = TextField()
    issuer = TextField()
    scopes = TextField()
    wanted_scopes = TextField()
    terms = BinaryJSONField(index=False)
    serial = IntegerField()
    attempts = IntegerField()
    claimed_until = DateTimeTZField(null=True)
    connected_at = DateTimeTZField()
    renewed_at = DateTimeTZField(null=True)
    expires_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "upstream_connections"


class SignInRow(Table):
    """A sign-in that a browser is on."""

    state_hash = BlobField(primary_key=True)
    server_id = BigIntegerField()
    user_id = BigIntegerField(null=True)
    began_by = BigIntegerField()
    session_id = BigIntegerField(null=True)
    plan = BinaryJSONField(index=False)
    began_at = DateTimeTZField()

    class Meta:
        table_name = "upstream_signins"
