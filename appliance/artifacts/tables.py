"""The ledger and the catalog as rows (migrations 0011 and 0012)."""

from peewee import (
    BigIntegerField,
    BooleanField,
    CompositeKey,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class RunRow(Table):
    """One attempt at a build that ended."""

    id = BigIntegerField(primary_key=True)
    prev_hash = TextField()
    row_hash = TextField()
    build_id = BigIntegerField()
    attempt = IntegerField()
    deployment_id = BigIntegerField()
    server_id = BigIntegerField()
    server_name = TextField()
    server_type = TextField()
    owner_id = BigIntegerField(null=True)
    source = BinaryJSONField(index=False)
    source_kind = TextField()
    source_repo = TextField()
    source_branch = TextField()
    source_revision = TextField()
    local_image = TextField()
    registry_image = TextField()
    manifest_tag = TextField()
    manifest_digest = TextField(null=True)
    is_multi_arch = BooleanField()
    targets = BinaryJSONField(index=False)
    auth_refresh_attempted = BooleanField()
    auth_refresh_succeeded = BooleanField()
    auth_rotation_attempted = BooleanField()
    auth_rotation_succeeded = BooleanField()
    credential_health_status = TextField()
    shortcomings = BinaryJSONField(index=False)
    status = TextField()
    error = TextField()
    started_at = DateTimeTZField()
    completed_at = DateTimeTZField()

    class Meta:
        table_name = "build_artifact_runs"


class PlatformRow(Table):
    """One architecture of a run."""

    run_id = BigIntegerField()
    platform = TextField()
    image_id = TextField()
    image_reference = TextField()
    digest = TextField(null=True)
    auth_refresh_attempted = BooleanField()
    auth_refresh_succeeded = BooleanField()
    auth_rotation_attempted = BooleanField()
    auth_rotation_succeeded = BooleanField()
    credential_health_status = TextField()

    class Meta:
        table_name = "build_artifact_platforms"
        primary_key = CompositeKey("run_id", "platform")


class ChainRow(Table):
    """The end of the chain: the table's one row."""

    only_row = BooleanField(primary_key=True)
    runs = BigIntegerField()
    head_hash = TextField()
    checked_at = DateTimeTZField(null=True)
    problem = TextField()

    class Meta:
        table_name = "build_artifact_chain"


class CatalogRow(Table):
    """What the marketplace shows of a server."""

    server_id = BigIntegerField()
    is_succeeded = BooleanField()
    run_id = BigIntegerField()
    owner_id = BigIntegerField(null=True)
    org_id = BigIntegerField(null=True)
    server_type = TextField()
    status = TextField()
    tier_class = TextField()
    search = TextField()
    entry = TextField()

    class Meta:
        table_name = "catalog_latest"
        primary_key = CompositeKey("server_id", "is_succeeded")
