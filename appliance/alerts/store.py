"""Queries about alerts, silences and channels. Every function runs inside ``database.run``."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN, SQL

from appliance.alerts.errors import AlertNotFoundError, ChannelNotFoundError
from appliance.alerts.model import (
    Alert,
    Channel,
    ChannelKind,
    Condition,
    News,
    Severity,
)
from appliance.alerts.rules import Change, Deed
from appliance.alerts.tables import AlertRow, ChannelRow, SilenceRow
from appliance.infra.database import proxy

NOW = SQL("now()")
#: How long ended alerts are kept.
KEEP = timedelta(days=90)


def moment() -> datetime:
    """Return the present moment by Postgres' clock: the same for the whole transaction."""
    (at,) = proxy.execute_sql("SELECT now()").fetchone()
    return at  # type: ignore[no-any-return]  # psycopg2's driver says nothing of types


# -- alerts


def open_alerts() -> list[Alert]:
    """Return what has not ended, whether or not anybody was told."""
    return _alerts(_query().where(AlertRow.ended_at.is_null()).order_by(AlertRow.id))


def page(*, ended: bool | None, before: int | None, limit: int) -> list[Alert]:
    """Return alerts, the newest first; what was never told, and so may mend itself yet, is none.

    Args:
        ended: Only those that have ended, or only those that have not; ``None``: both.
        before: An alert's number: only older ones.
        limit: How many at most.
    """
    is_known = ~AlertRow.told_at.is_null() | ~SilenceRow.until.is_null()
    query = _query().where(is_known)
    if ended is not None:
        query = query.where(AlertRow.ended_at.is_null(is_null=not ended))
    if before is not None:
        query = query.where(AlertRow.id < before)
    return _alerts(query.order_by(AlertRow.id.desc()).limit(limit))


def get(alert_id: int) -> Alert:
    """Return one alert.

    Raises:
        AlertNotFoundError: There is none.
    """
    found = _alerts(_query().where(AlertRow.id == alert_id))
    if not found:
        raise AlertNotFoundError(f"There is no alert {alert_id}.")
    return found[0]


def apply(change: Change) -> int:
    """Write one change down, and return the alert's number."""
    told = {"told_at": NOW} if change.news in {News.BEGAN, News.REMINDER} else {}
    if change.alert is None:
        if change.condition is None:
            raise AssertionError("what begins is seen")
        values = {"since": NOW, "acknowledged_by": "", **_values(change.condition)}
        return int(AlertRow.insert(**values, **told, key=change.condition.key).execute())  # fmt: skip
    row = AlertRow.id == change.alert.id
    if change.deed is Deed.DROP:
        AlertRow.delete().where(row).execute()
    elif change.deed is Deed.END:
        AlertRow.update(ended_at=NOW).where(row).execute()
    elif change.condition is not None:
        AlertRow.update(**_values(change.condition), **told).where(row).execute()
    return change.alert.id


def _values(condition: Condition) -> dict[str, Any]:
    return {
        "severity": condition.severity.value,
        "text": condition.text,
        "hint": condition.hint,
        "last_seen": NOW,
    }


def add_past(alert: Alert, ended_at: datetime) -> int:
    """Write down an alert that began and ended while nothing could be written, and return its number."""
    added = AlertRow.insert(
        key=alert.key,
        severity=alert.severity.value,
        text=alert.text,
        hint=alert.hint,
        since=alert.since,
        last_seen=ended_at,
        told_at=alert.since,
        ended_at=ended_at,
        acknowledged_by="",
    )
    return int(added.execute())


def acknowledge(alert_id: int, by: str) -> None:
    """Write down that somebody knows."""
    row = AlertRow.id == alert_id
    AlertRow.update(acknowledged_by=by, acknowledged_at=NOW).where(row).execute()


def silence(key: str, until: datetime, reason: str, by: str) -> None:
    """Tell nobody of a kind of alert until a moment."""
    values = {"until": until, "reason": reason, "created_by": by}
    SilenceRow.insert(key=key, **values).on_conflict(
        conflict_target=[SilenceRow.key], update=values
    ).execute()


def end_silence(key: str) -> bool:
    """Tell of it again; return whether anybody had said not to."""
    return bool(SilenceRow.delete().where(SilenceRow.key == key).execute())


def prune() -> int:
    """Forget what ended long ago, and silences that are over; return how many alerts."""
    SilenceRow.delete().where(SilenceRow.until < NOW).execute()
    old = AlertRow.ended_at < moment() - KEEP
    return int(AlertRow.delete().where(old).execute())


def _query() -> Any:
    silenced = (SilenceRow.key == AlertRow.key) & (SilenceRow.until > NOW)
    columns = (AlertRow, SilenceRow.until.alias("silenced_until"))
    return AlertRow.select(*columns).join(SilenceRow, JOIN.LEFT_OUTER, on=silenced)


def _alerts(query: Any) -> list[Alert]:
    return [
        Alert(
            id=row["id"],
            key=row["key"],
            severity=Severity(row["severity"]),
            text=row["text"],
            hint=row["hint"],
            since=row["since"],
            last_seen=row["last_seen"],
            told_at=row["told_at"],
            ended_at=row["ended_at"],
            acknowledged_by=row["acknowledged_by"],
            acknowledged_at=row["acknowledged_at"],
            silenced_until=row["silenced_until"],
        )
        for row in query.dicts()
    ]


# -- channels


def channels() -> list[Channel]:
    """Return all of them, the oldest first."""
    return [_channel(row) for row in ChannelRow.select().order_by(ChannelRow.id)]


def channel(channel_id: int) -> tuple[Channel, bytes]:
    """Return one channel, and its sealed secret.

    Raises:
        ChannelNotFoundError: There is none.
    """
    row = ChannelRow.get_or_none(ChannelRow.id == channel_id)
    if row is None:
        raise ChannelNotFoundError(f"There is no channel {channel_id}.")
    return _channel(row), bytes(row.secret_sealed)


def add_channel(
    kind: ChannelKind,
    *,
    name: str,
    address: str,
    min_severity: Severity,
    sealed: bytes,
    by: str,
) -> Channel:
    """Add one."""
    row = ChannelRow.create(
        kind=kind.value,
        name=name,
        address=address,
        min_severity=min_severity.value,
        secret_sealed=sealed,
        created_by=by,
        created_at=moment(),
        last_error="",
    )
    return _channel(row)


def remove_channel(channel_id: int) -> None:
    """Forget one."""
    ChannelRow.delete().where(ChannelRow.id == channel_id).execute()


def sent(channel_id: int, error: str) -> None:
    """Write down how the last attempt went; no error: well."""
    values: dict[str, Any] = {"last_error": error}
    if not error:
        values["last_sent_at"] = NOW
    ChannelRow.update(**values).where(ChannelRow.id == channel_id).execute()


def for_severity(severity: Severity) -> Sequence[Channel]:
    """Return where something so bad is sent."""
    return [item for item in channels() if item.min_severity.rank <= severity.rank]


def _channel(row: Any) -> Channel:
    return Channel(
        id=row.id,
        kind=ChannelKind(row.kind),
        name=row.name,
        address=row.address,
        min_severity=Severity(row.min_severity),
        created_by=row.created_by,
        created_at=row.created_at,
        last_sent_at=row.last_sent_at,
        last_error=row.last_error,
    )
