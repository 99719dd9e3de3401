"""Secrets and what they were, as rows (migration 0026)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class SecretRow(Table):
    """A secret of a server, also one that was removed."""

    id = BigAutoField()
    server_id = BigIntegerField()
    name = TextField()
    version = IntegerField()
    delivery = TextField()
    managed_by = TextField()
    created_by = TextField()
    created_at = DateTimeTZField()
    updated_by = TextField()
    updated_at = DateTimeTZField()
    removed_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "secrets"


class SecretVersionRow(Table):
    """One value that a secret had; sealed, or the place in Vault."""

    id = BigAutoField()
    secret_id = BigIntegerField()
    version = IntegerField()
    keeper = TextField()
    key_id = TextField(null=True)
    wrapped_key = BlobField(null=True)
    value = BlobField(null=True)
    vault_path = TextField(null=True)
    vault_version = IntegerField(null=True)
    set_by = TextField()
    set_at = DateTimeTZField()
    ended_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "secret_versions"


class SealedValueRow(Table):
    """A value that nothing delivers to a server (migration 0052)."""

    id = BigAutoField()
    server_id = BigIntegerField()
    user_id = BigIntegerField(null=True)
    name = TextField()
    version = IntegerField()
    key_id = TextField()
    wrapped_key = BlobField()
    value = BlobField()

    class Meta:
        table_name = "sealed_values"
