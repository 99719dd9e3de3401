"""Bundles and their members as rows (migration 0008)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class BundleRow(Table):
    """A virtual server."""

    id = BigAutoField()
    name = TextField()
    owner_id = BigIntegerField()
    org_id = BigIntegerField(null=True)
    description = TextField()
    separator = TextField()
    endpoint_key_hash = BlobField()
    endpoint_key_prefix = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "bundles"


class BundleMemberRow(Table):
    """A server in a bundle."""

    bundle_id = BigIntegerField()
    server_id = BigIntegerField()
    position = IntegerField()
    prefix = TextField()
    tools = BinaryJSONField(index=False, null=True)
    overrides = BinaryJSONField(index=False)

    class Meta:
        table_name = "bundle_members"
        primary_key = CompositeKey("bundle_id", "server_id")
