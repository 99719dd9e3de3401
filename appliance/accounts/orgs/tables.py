"""Organisations, their members and invitations as rows (migration 0033)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class OrgRow(Table):
    """An organisation."""

    id = BigAutoField()
    name = TextField()
    title = TextField()
    server_quota = IntegerField(null=True)
    created_by = TextField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "orgs"


class OrgMemberRow(Table):
    """Somebody who belongs to an organisation."""

    org_id = BigIntegerField()
    user_id = BigIntegerField()
    role = TextField()
    added_by = TextField()
    added_at = DateTimeTZField()

    class Meta:
        table_name = "org_members"
        primary_key = CompositeKey("org_id", "user_id")


class OrgInvitationRow(Table):
    """A link by which one person may join."""

    id = BigAutoField()
    org_id = BigIntegerField()
    role = TextField()
    note = TextField()
    token_hash = BlobField()
    created_by = TextField()
    created_at = DateTimeTZField()
    expires_at = DateTimeTZField()
    accepted_by = TextField(null=True)
    accepted_at = DateTimeTZField(null=True)
    revoked_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "org_invitations"
