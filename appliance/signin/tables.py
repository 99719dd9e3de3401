"""Browsers on their way to a provider and back, as rows (migration 0048)."""

from peewee import BlobField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class AttemptRow(Table):
    """Somebody who is on the way."""

    state_hash = BlobField(primary_key=True)
    browser_hash = BlobField()
    sealed = BlobField()
    created_at = DateTimeTZField()
    expires_at = DateTimeTZField()

    class Meta:
        table_name = "signin_attempts"
