"""What instances were kept apart by, and what became of them. Every function runs inside ``database.run``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import fn

from appliance.runtimes.model import Instance
from appliance.servers.tables import VmEventRow, VmInstanceRow

#: Nobody looks behind so many at once.
MAX_SHOWN = 50


@dataclass(frozen=True)
class VmEvent:
    """Something that became of an instance."""

    id: int
    at: datetime
    event: str
    detail: str


@dataclass(frozen=True)
class VmInstance:
    """One instance, as it was kept apart."""

    id: int
    deployment_id: int
    decision_id: int | None
    purpose: str
    executor: str
    name: str
    container_id: str
    isolation_tier: str
    runtime: str
    image_id: str
    attestation_status: str
    attestation_detail: str
    started_at: datetime
    ended_at: datetime | None
    events: tuple[VmEvent, ...] = ()


def started(instance: Instance, executor: str) -> None:
    """Note an instance that runs; told again, nothing changes."""
    if instance.started_at is None or not instance.container_id:
        return
    row = (
        VmInstanceRow.insert(
            server_id=instance.server_id,
            deployment_id=instance.deployment_id,
            decision_id=instance.decision_id,
            purpose=instance.purpose,
            executor=executor,
            name=instance.name,
            container_id=instance.container_id,
            isolation_tier=instance.isolation_tier,
            runtime=instance.runtime,
            image_id=instance.image_id,
            attestation_status=instance.attestation.status,
            attestation_detail=instance.attestation.detail,
            started_at=instance.started_at,
        )
        .on_conflict_ignore()
        .returning(VmInstanceRow.id)
        .execute()
    )
    for item in row:
        what = f"{instance.isolation_tier} by {instance.runtime or executor}"
        _add([item.id], "started", what)
        told = f"{instance.attestation.status}: {instance.attestation.detail}"
        _add([item.id], "attestation", told)


def ended(server_id: int, names: Collection[str], event: str, detail: str) -> None:
    """Note that instances ended, by their names.

    Args:
        server_id: Whose.
        names: Which; of those that had ended before, nothing is noted.
        event: ``ended`` by itself, or ``removed``.
        detail: Why, in words.
    """
    rows = (
        VmInstanceRow.update(ended_at=fn.now())
        .where(
            VmInstanceRow.server_id == server_id,
            VmInstanceRow.name.in_(list(names)),
            VmInstanceRow.ended_at.is_null(),
        )
        .returning(VmInstanceRow.id)
        .execute()
    )
    _add([item.id for item in rows], event, detail)


def _add(ids: Sequence[int], event: str, detail: str) -> None:
    for vm_instance_id in ids:
        VmEventRow.insert(
            vm_instance_id=vm_instance_id, at=fn.now(), event=event, detail=detail
        ).execute()


def of_server(server_id: int, limit: int = MAX_SHOWN) -> list[VmInstance]:
    """Return a server's newest instances with their events, newest first."""
    rows = list(
        VmInstanceRow.select()
        .where(VmInstanceRow.server_id == server_id)
        .order_by(VmInstanceRow.id.desc())
        .limit(limit)
    )
    events: dict[int, list[VmEvent]] = {}
    found: Any = VmEventRow.select().where(
        VmEventRow.vm_instance_id.in_([row.id for row in rows])
    )
    for item in found.order_by(VmEventRow.id) if rows else ():
        told = VmEvent(item.id, item.at, item.event, item.detail)
        events.setdefault(item.vm_instance_id, []).append(told)
    return [_instance(row, tuple(events.get(row.id, ()))) for row in rows]


def _instance(row: VmInstanceRow, events: tuple[VmEvent, ...]) -> VmInstance:
    names = [name for name in VmInstance.__dataclass_fields__ if name != "events"]
    return VmInstance(**{name: getattr(row, name) for name in names}, events=events)


def prune(before: datetime) -> int:
    """Remove instances that ended before this; return how many went."""
    return int(VmInstanceRow.delete().where(VmInstanceRow.ended_at < before).execute())
