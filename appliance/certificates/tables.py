"""Certificates, accounts at authorities and what happened, as rows (migration 0055)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    IntegerField,
    SmallIntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.core.clock import now
from appliance.infra.database import Table


class CertificateRow(Table):
    """A certificate that is wanted, with what there is of it."""

    id = BigAutoField()
    names = BinaryJSONField(index=False)
    kind = TextField()
    status = TextField(default="wanted")
    is_box = BooleanField(default=False)
    is_asked = BooleanField(default=False)
    chain = TextField(null=True)
    key_sealed = BlobField(null=True)
    issuer = TextField(default="")
    serial = TextField(default="")
    fingerprint = TextField(default="")
    not_before = DateTimeTZField(null=True)
    not_after = DateTimeTZField(null=True)
    renew_at = DateTimeTZField(null=True)
    window_check_at = DateTimeTZField(null=True)
    attempts = IntegerField(default=0)
    attempted_at = DateTimeTZField(null=True)
    next_attempt_at = DateTimeTZField(null=True)
    error_kind = TextField(default="")
    error = TextField(default="")
    directory_url = TextField(default="")
    order_url = TextField(default="")
    next_key_sealed = BlobField(null=True)
    created_by = TextField(default="system")
    created_at = DateTimeTZField(default=now)
    updated_at = DateTimeTZField(default=now)

    class Meta:
        table_name = "certificates"


class AccountRow(Table):
    """What this box is to an authority."""

    directory_url = TextField(primary_key=True)
    key_sealed = BlobField()
    uri = TextField(default="")
    email = TextField(default="")
    status = TextField(default="new")
    attempts = IntegerField(default=0)
    attempted_at = DateTimeTZField(null=True)
    next_attempt_at = DateTimeTZField(null=True)
    error_kind = TextField(default="")
    error = TextField(default="")
    created_at = DateTimeTZField(default=now)

    class Meta:
        table_name = "acme_accounts"


class EventRow(Table):
    """One thing that happened to a certificate."""

    id = BigAutoField()
    certificate_id = BigIntegerField()
    at = DateTimeTZField(default=now)
    kind = TextField()
    text = TextField()

    class Meta:
        table_name = "certificate_events"


class OwnCaRow(Table):
    """The box's own authority; one row at most."""

    id = SmallIntegerField(primary_key=True, default=1)
    certificate = TextField()
    key_sealed = BlobField()
    created_at = DateTimeTZField(default=now)

    class Meta:
        table_name = "own_ca"
