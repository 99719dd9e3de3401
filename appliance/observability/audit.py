"""The audit trail: every write, who did it and what became of it."""

from collections.abc import Mapping
from typing import Any, Protocol

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.observability.logs import current
from appliance.observability.model import AuditEvent, Outcome
from appliance.observability.redaction import redact_items
from appliance.observability.tables import AuditEventRow

__all__ = ["Actor", "AuditEvent", "AuditTrail", "Outcome", "record"]


class Actor(Protocol):
    """Who does something."""

    @property
    def user_id(self) -> int | None:
        """The person's number; ``None``: the system, or nobody known."""

    @property
    def name(self) -> str:
        """The e-mail, or ``system``."""


def record(  # noqa: PLR0913 - the columns of one line
    actor: Actor,
    action: str,
    *,
    object_type: str,
    object_id: int | None = None,
    object_name: str = "",
    outcome: Outcome = Outcome.ALLOWED,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write one line of the trail; runs inside ``database.run``, so that a write and its line come together or not at all.

    The request's id and address are those bound for the log (``request_id``, ``address``).
    """
    AuditEventRow.insert(
        at=now(),
        actor_id=actor.user_id,
        actor=actor.name,
        action=action,
        object_type=object_type,
        object_id=object_id,
        object_name=object_name,
        outcome=Outcome(outcome).value,
        request_id=current("request_id"),
        address=current("address"),
        details=redact_items(details or {}),
    ).execute()


class AuditTrail:
    """Reads the trail, and writes what happened outside a transaction."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def record(self, actor: Actor, action: str, **fields: Any) -> None:
        """Write one line in a transaction of its own, for attempts that were refused."""
        await self._database.run(record, actor, action, **fields)

    async def list(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        actor: str | None = None,
        action: str | None = None,
        object_type: str | None = None,
        object_id: int | None = None,
    ) -> list[AuditEvent]:
        """Return lines of the trail, newest first.

        Args:
            before: Only lines older than the one of this id: the cursor.
            action: The whole action, or its first part (``server``).
        """
        wanted = {
            AuditEventRow.actor: actor,
            AuditEventRow.object_type: object_type,
            AuditEventRow.object_id: object_id,
        }

        def read() -> list[AuditEvent]:
            rows = AuditEventRow.select()
            for column, value in wanted.items():
                if value is not None:
                    rows = rows.where(column == value)
            if action is not None:
                part = AuditEventRow.action.startswith(f"{action}.")
                rows = rows.where((AuditEventRow.action == action) | part)
            if before is not None:
                rows = rows.where(AuditEventRow.id < before)
            newest = rows.order_by(AuditEventRow.id.desc()).limit(limit)
            return [_event(row) for row in newest]

        return await self._database.run(read)


def _event(row: AuditEventRow) -> AuditEvent:
    return AuditEvent(
        id=row.id,
        at=row.at,
        actor_id=row.actor_id,
        actor=row.actor,
        action=row.action,
        object_type=row.object_type,
        object_id=row.object_id,
        object_name=row.object_name,
        outcome=Outcome(row.outcome),
        request_id=row.request_id,
        address=row.address,
        details=row.details,
    )
