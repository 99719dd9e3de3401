"""What was pushed, and what became of credentials and old manifests, as rows."""

from peewee import BigAutoField, BigIntegerField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class RegistryEventRow(Table):
    """One thing that happened to credentials or old manifests."""

    id = BigAutoField()
    at = DateTimeTZField()
    event = TextField()
    server_id = BigIntegerField(null=True)
    host = TextField()
    details = BinaryJSONField(index=False)

    class Meta:
        table_name = "registry_events"


class PublicationRow(Table):
    """One manifest list that was published, and what it is made of."""

    id = BigAutoField()
    server_id = BigIntegerField()
    deployment_id = BigIntegerField()
    repository = TextField()
    tag = TextField()
    digest = TextField()
    platforms = BinaryJSONField(index=False)
    published_at = DateTimeTZField()
    pruned_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "registry_publications"
