"""Approved definitions, what is different from them, and decisions, as rows (migration 0025)."""

from peewee import BigAutoField, BigIntegerField, BooleanField, IntegerField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class ToolPinRow(Table):
    """A definition that somebody approved; it holds until it is retired."""

    id = BigAutoField()
    server_id = BigIntegerField()
    kind = TextField()
    name = TextField()
    definition = BinaryJSONField(index=False)
    hash = TextField()
    image = TextField()
    deployment = IntegerField()
    approved_by = TextField()
    approved_at = DateTimeTZField()
    retired_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "tool_pins"


class ToolChangeRow(Table):
    """A definition that is not what was approved."""

    id = BigAutoField()
    server_id = BigIntegerField()
    what = TextField()
    kind = TextField()
    name = TextField()
    renamed_from = TextField()
    before = BinaryJSONField(index=False, null=True)
    after = BinaryJSONField(index=False, null=True)
    hash = TextField()
    deployment = IntegerField()
    found_at = DateTimeTZField()
    state = TextField()
    decided_by = TextField()
    decided_at = DateTimeTZField(null=True)
    reason = TextField()

    class Meta:
        table_name = "tool_changes"


class ToolDecisionRow(Table):
    """What somebody decided."""

    id = BigAutoField()
    server_id = BigIntegerField()
    at = DateTimeTZField()
    actor = TextField()
    action = TextField()
    reason = TextField()
    items = BinaryJSONField(index=False)
    is_undone = BooleanField()

    class Meta:
        table_name = "tool_decisions"
