"""Alerts, silences and channels as rows."""

from peewee import BigAutoField, BlobField, TextField
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class AlertRow(Table):
    """One time that something was wrong."""

    id = BigAutoField()
    key = TextField()
    severity = TextField()
    text = TextField()
    hint = TextField()
    since = DateTimeTZField()
    last_seen = DateTimeTZField()
    told_at = DateTimeTZField(null=True)
    ended_at = DateTimeTZField(null=True)
    acknowledged_by = TextField()
    acknowledged_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "alerts"


class SilenceRow(Table):
    """Nobody is told of a kind of alert for a while."""

    key = TextField(primary_key=True)
    until = DateTimeTZField()
    reason = TextField()
    created_by = TextField()

    class Meta:
        table_name = "alert_silences"


class ChannelRow(Table):
    """Where alerts are sent."""

    id = BigAutoField()
    kind = TextField()
    name = TextField()
    address = TextField()
    min_severity = TextField()
    secret_sealed = BlobField()
    created_by = TextField()
    created_at = DateTimeTZField()
    last_sent_at = DateTimeTZField(null=True)
    last_error = TextField()

    class Meta:
        table_name = "alert_channels"
