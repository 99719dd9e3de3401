"""Queries about backups. Every function runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.backups.errors import BackupNotFoundError, BackupNotRunningError
from appliance.backups.model import CHANGED, Backup, BackupState
from appliance.backups.schedule import History
from appliance.backups.tables import BackupRow
from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.observability.events import publish_in_transaction

#: "MCPB": held for as long as a backup, a verification or a restore goes on.
LOCK_KEY = 0x4D43_5042


def _backup(row: BackupRow) -> Backup:
    return Backup(
        id=row.id,
        name=row.name,
        target=row.target,
        state=BackupState(row.state),
        is_scheduled=row.is_scheduled,
        requested_by=row.requested_by,
        started_at=row.started_at,
        finished_at=row.finished_at,
        verified_at=row.verified_at,
        size_bytes=row.size_bytes,
        progress=dict(row.progress),
        error=row.error,
        summary=dict(row.summary),
        cancel_requested=row.cancel_requested,
    )


def _tell(backup_id: int) -> None:
    publish_in_transaction(CHANGED, None, {"backup_id": backup_id})


def begin(name: str, target: str, *, is_scheduled: bool, requested_by: str) -> Backup:
    """Insert a backup that begins now."""
    row = BackupRow.create(
        name=name,
        target=target,
        state=BackupState.RUNNING.value,
        is_scheduled=is_scheduled,
        requested_by=requested_by,
        started_at=now(),
        size_bytes=0,
        progress={},
        error="",
        summary={},
        cancel_requested=False,
    )
    _tell(row.id)
    return _backup(row)


def get(backup_id: int) -> Backup:
    """Return one backup.

    Raises:
        BackupNotFoundError: There is none of this number.
    """
    row = BackupRow.get_or_none(BackupRow.id == backup_id)
    if row is None:
        raise BackupNotFoundError(f"There is no backup {backup_id}.")
    return _backup(row)


def page(*, before: int | None = None, limit: int = 50) -> list[Backup]:
    """Return backups, newest first; ``before`` (a number) is the cursor."""
    rows = BackupRow.select()
    if before is not None:
        rows = rows.where(BackupRow.id < before)
    return [_backup(row) for row in rows.order_by(BackupRow.id.desc()).limit(limit)]


def running() -> Backup | None:
    """Return the one that runs, or did when its process was killed."""
    row = (
        BackupRow.select()
        .where(BackupRow.state == BackupState.RUNNING.value)
        .order_by(BackupRow.id.desc())
        .first()
    )
    return _backup(row) if row else None


def note_progress(backup_id: int, progress: Mapping[str, Any]) -> bool:
    """Write how far it is; return whether somebody asked for its end."""
    row = (
        BackupRow.update(progress=dict(progress))
        .where(BackupRow.id == backup_id)
        .returning(BackupRow.cancel_requested)
        .execute()
    )
    _tell(backup_id)
    return any(item.cancel_requested for item in row)


def succeed(
    backup_id: int, *, size_bytes: int, summary: Mapping[str, Any], verified: bool
) -> None:
    """Mark as whole and at its target."""
    at = now()
    BackupRow.update(
        state=BackupState.SUCCEEDED.value,
        finished_at=at,
        verified_at=at if verified else None,
        size_bytes=size_bytes,
        summary=dict(summary),
        progress={},
    ).where(BackupRow.id == backup_id).execute()
    _tell(backup_id)


def end(backup_id: int, state: BackupState, error: str = "") -> None:
    """Mark one that runs as ended without a result."""
    BackupRow.update(
        state=state.value, finished_at=now(), error=error, progress={}
    ).where(
        BackupRow.id == backup_id, BackupRow.state == BackupState.RUNNING.value
    ).execute()
    _tell(backup_id)


def end_abandoned() -> int:
    """Mark what runs in no process as failed; the caller holds the lock. Return how many there were."""
    found = running()
    count = 0
    while found is not None:
        end(found.id, BackupState.FAILED, "Its process ended without a word.")
        count += 1
        found = running()
    return count


def request_cancel(backup_id: int) -> Backup:
    """Ask for the end of a backup.

    Raises:
        BackupNotFoundError: There is none of this number.
        BackupNotRunningError: It has ended.
    """
    backup = get(backup_id)
    if backup.state is not BackupState.RUNNING:
        raise BackupNotRunningError(f"Backup {backup_id} has ended.")
    BackupRow.update(cancel_requested=True).where(BackupRow.id == backup_id).execute()
    _tell(backup_id)
    return get(backup_id)


def note_verified(backup_id: int) -> None:
    """Write that it was read back and found whole."""
    BackupRow.update(verified_at=now(), error="").where(
        BackupRow.id == backup_id
    ).execute()
    _tell(backup_id)


def note_damaged(backup_id: int, error: str) -> None:
    """Write that it was read back and found damaged."""
    BackupRow.update(verified_at=None, error=error).where(
        BackupRow.id == backup_id
    ).execute()
    _tell(backup_id)


def mark_deleted(target: str, names: list[str]) -> None:
    """Write that these files are no longer at the target."""
    BackupRow.update(state=BackupState.DELETED.value).where(
        BackupRow.target == target,
        BackupRow.name.in_(names),
        BackupRow.state == BackupState.SUCCEEDED.value,
    ).execute()


def history() -> History:
    """Return what the schedule goes by."""
    last = (
        BackupRow.select()
        .where(
            BackupRow.is_scheduled,
            BackupRow.state != BackupState.CANCELLED.value,
        )
        .order_by(BackupRow.id.desc())
        .first()
    )
    good = (
        BackupRow.select()
        .where(
            BackupRow.state.in_(
                [BackupState.SUCCEEDED.value, BackupState.DELETED.value]
            )
        )
        .order_by(BackupRow.id.desc())
        .first()
    )
    return History(
        began_at=last.started_at if last else None,
        good_at=good.finished_at if good else None,
        has_failed=last is not None and last.state == BackupState.FAILED.value,
        error=last.error if last else "",
    )


def is_locked() -> bool:
    """Tell whether a backup, a verification or a restore goes on in some process."""
    cursor = proxy.execute_sql("SELECT pg_try_advisory_xact_lock(%s)", (LOCK_KEY,))
    (was_free,) = cursor.fetchone()
    return not was_free
