"""Rows about where servers may go (migration 0024)."""

from peewee import (
    BigIntegerField,
    BooleanField,
    CompositeKey,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class EgressPolicyRow(Table):
    """What counts for a server; the egress process reads it."""

    server_id = BigIntegerField(primary_key=True)
    mode = TextField()
    hosts = BinaryJSONField()
    private = BinaryJSONField()
    learn = BooleanField()
    declared = BinaryJSONField()
    updated_at = DateTimeTZField()

    class Meta:
        """The table's name."""

        table_name = "egress_policies"


class EgressAttemptRow(Table):
    """Where a server went or tried to; only the egress process writes it."""

    server_id = BigIntegerField()
    allowed = BooleanField()
    protocol = TextField()
    port = IntegerField()
    destination = TextField()
    reason = TextField()
    attempts = BigIntegerField()
    bytes_sent = BigIntegerField()
    bytes_received = BigIntegerField()
    first_at = DateTimeTZField()
    last_at = DateTimeTZField()

    class Meta:
        """The table's name and key."""

        table_name = "egress_attempts"
        primary_key = CompositeKey(
            "server_id", "allowed", "protocol", "port", "destination"
        )


class EgressStateRow(Table):
    """The egress process's last sign of life."""

    id = IntegerField(primary_key=True)
    enforced = BooleanField()
    problem = TextField()
    at = DateTimeTZField()

    class Meta:
        """The table's name."""

        table_name = "egress_state"
