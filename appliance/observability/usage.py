"""Usage metrics: what servers did, kept for good and streamed live."""

from collections.abc import Mapping
from typing import Any

from appliance.core.clock import now
from appliance.observability.events import publish_in_transaction
from appliance.observability.model import UsageMetric
from appliance.observability.tables import UsageMetricRow

__all__ = ["UsageMetric", "record_usage", "usage_of"]

#: Kind of the live event that accompanies every row; its data are ``event_type`` and ``details``.
USAGE_EVENT = "usage.metric"


def record_usage(
    server_id: int, event_type: str, details: Mapping[str, Any]
) -> UsageMetric:
    """Write one metric and broadcast it; runs inside ``database.run``."""
    row = UsageMetricRow.create(
        server_id=server_id,
        event_type=event_type,
        details=dict(details),
        created_at=now(),
    )
    data = {"event_type": event_type, "details": dict(details)}
    publish_in_transaction(USAGE_EVENT, server_id, data)
    return _metric(row)


def usage_of(
    server_id: int, *, before: int | None = None, limit: int = 200
) -> list[UsageMetric]:
    """Return a server's metrics, newest first; runs inside ``database.run``.

    Args:
        before: Only those older than the metric of this id.
    """
    rows = UsageMetricRow.select().where(UsageMetricRow.server_id == server_id)
    if before is not None:
        rows = rows.where(UsageMetricRow.id < before)
    return [
        _metric(row) for row in rows.order_by(UsageMetricRow.id.desc()).limit(limit)
    ]


def _metric(row: UsageMetricRow) -> UsageMetric:
    return UsageMetric(
        id=row.id,
        server_id=row.server_id,
        event_type=row.event_type,
        details=row.details,
        created_at=row.created_at,
    )
