"""Quotas and what is used of them as rows."""

from peewee import BigIntegerField, CompositeKey, IntegerField, TextField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class QuotaRow(Table):
    """How much of one kind an owner may have; no row: as the box says."""

    owner_id = BigIntegerField()
    kind = TextField()
    amount = BigIntegerField(null=True)
    set_by = TextField()
    set_at = DateTimeTZField()

    class Meta:
        table_name = "quotas"
        primary_key = CompositeKey("owner_id", "kind")


class BuildUseRow(Table):
    """When one attempt at a build had its turn."""

    build_id = BigIntegerField()
    attempt = IntegerField()
    owner_id = BigIntegerField()
    began_at = DateTimeTZField()
    ended_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "build_uses"
        primary_key = CompositeKey("build_id", "attempt")


class DiskUseRow(Table):
    """What an owner's things took when the disk was last measured."""

    owner_id = BigIntegerField(primary_key=True)
    images_bytes = BigIntegerField()
    data_bytes = BigIntegerField()
    uploads_bytes = BigIntegerField()
    measured_at = DateTimeTZField()

    class Meta:
        table_name = "disk_uses"
