"""Uploads (migration 0013) and credentials (0014) as rows."""

from peewee import BigAutoField, BigIntegerField, BlobField, TextField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class UploadRow(Table):
    """An archive that somebody brought."""

    id = BigAutoField()
    digest = TextField()
    owner_id = BigIntegerField()
    filename = TextField()
    size_bytes = BigIntegerField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "uploads"


class SourceCredentialRow(Table):
    """With what a server's repository is fetched."""

    server_id = BigIntegerField(primary_key=True)
    kind = TextField()
    hint = TextField()
    sealed = BlobField()
    known_hosts = TextField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "source_credentials"
