"""Tracks and what moves along them as rows (migration 0042)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import DateTimeTZField

from appliance.infra.database import Table


class TrackRow(Table):
    """An order of stages."""

    id = BigAutoField()
    name = TextField()
    description = TextField()
    tier = TextField()
    owner_id = BigIntegerField()
    org_id = BigIntegerField(null=True)
    workflow_id = BigIntegerField(null=True)
    allow_self = BooleanField()
    version = IntegerField()
    created_by = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "promotion_tracks"


class StageRow(Table):
    """One stage of a track."""

    track_id = BigIntegerField()
    position = IntegerField()
    name = TextField()
    workflow_id = BigIntegerField(null=True)

    class Meta:
        table_name = "promotion_stages"
        primary_key = CompositeKey("track_id", "position")


class TrainRow(Table):
    """Promotions that become active together."""

    id = BigAutoField()
    track_id = BigIntegerField()
    stage = TextField()
    name = TextField()
    created_by = TextField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "promotion_trains"


class PromotionRow(Table):
    """A digest on its way to a stage, or what became of it."""

    id = BigAutoField()
    track_id = BigIntegerField()
    stage = TextField()
    tier = TextField()
    manifest_digest = TextField()
    artifact_run_id = BigIntegerField(null=True)
    server_id = BigIntegerField(null=True)
    server_name = TextField()
    status = TextField()
    reason = TextField()
    is_held = BooleanField()
    hold_reason = TextField()
    origin = TextField()
    restores_id = BigIntegerField(null=True)
    superseded_by = BigIntegerField(null=True)
    governance_run_id = BigIntegerField(null=True)
    train_id = BigIntegerField(null=True)
    version = IntegerField()
    scheduled_by_id = BigIntegerField(null=True)
    scheduled_by = TextField()
    approved_by = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()
    activated_at = DateTimeTZField(null=True)
    ended_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "artifact_promotions"


class PromotionEventRow(Table):
    """One thing that happened to a promotion."""

    id = BigAutoField()
    promotion_id = BigIntegerField()
    at = DateTimeTZField()
    actor_id = BigIntegerField(null=True)
    actor = TextField()
    kind = TextField()
    note = TextField()

    class Meta:
        table_name = "promotion_events"
