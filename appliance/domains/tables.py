"""Domains as rows (migration 0054)."""

from peewee import BigAutoField, BigIntegerField, IntegerField, TextField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class DomainRow(Table):
    """A name that somebody claims for a server."""

    id = BigAutoField()
    server_id = BigIntegerField()
    host = TextField()
    redirect_to = TextField(null=True)
    challenge = TextField()
    txt_because = TextField()
    verified_by = TextField(null=True)
    verified_at = DateTimeTZField(null=True)
    certificate_kind = TextField()
    certificate_id = BigIntegerField(null=True)
    status = TextField()
    reason = TextField()
    found = TextField()
    checks = IntegerField()
    checked_at = DateTimeTZField(null=True)
    next_check_at = DateTimeTZField(null=True)
    away_since = DateTimeTZField(null=True)
    told_at = DateTimeTZField(null=True)
    created_by = TextField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "domains"


class ReleasedDomainRow(Table):
    """A name that was given up, and by whom."""

    host = TextField(primary_key=True)
    owner_id = BigIntegerField()
    released_at = DateTimeTZField()

    class Meta:
        table_name = "released_domains"
