"""Quotas and uses; every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.servers.quotas.model import (
    BOX,
    BuildUse,
    DiskSizes,
    Limit,
    Month,
    QuotaKind,
    Standard,
    Wanted,
)
from appliance.servers.quotas.tables import BuildUseRow, DiskUseRow, QuotaRow

# -- limits


def limits(owners: Collection[int]) -> dict[int, dict[QuotaKind, Limit]]:
    """Return what these owners may have."""
    rows = list(QuotaRow.select().where(QuotaRow.owner_id.in_([BOX, *owners])))
    said = {(row.owner_id, row.kind): row.amount for row in rows}
    return {
        owner: {kind: _limit(said, owner, kind) for kind in QuotaKind}
        for owner in owners
    }


def _limit(said: Mapping[tuple[int, str], Any], owner: int, kind: QuotaKind) -> Limit:
    if (owner, kind.value) in said:
        return Limit(said[owner, kind.value], is_default=False)
    return Limit(said.get((BOX, kind.value)))


def set_limit(owner: int, kind: QuotaKind, wanted: Wanted, *, by: str) -> None:
    """Write how much an owner may have."""
    if wanted is Standard.DEFAULT:
        QuotaRow.delete().where(
            QuotaRow.owner_id == owner, QuotaRow.kind == kind.value
        ).execute()
        return
    values = {"amount": wanted, "set_by": by, "set_at": now()}
    QuotaRow.insert(owner_id=owner, kind=kind.value, **values).on_conflict(
        conflict_target=[QuotaRow.owner_id, QuotaRow.kind], update=values
    ).execute()


# -- build minutes


def begin_use(build_id: int, attempt: int, owner: int, began_at: datetime) -> None:
    """Write that an attempt has its turn; one of this build before it, whose hub ended, counts nothing."""
    BuildUseRow.update(ended_at=BuildUseRow.began_at).where(
        BuildUseRow.build_id == build_id, BuildUseRow.ended_at.is_null()
    ).execute()
    BuildUseRow.insert(
        build_id=build_id, attempt=attempt, owner_id=owner, began_at=began_at
    ).execute()


def end_use(build_id: int, attempt: int, ended_at: datetime) -> None:
    """Write that an attempt is over; nothing if it never had its turn."""
    BuildUseRow.update(ended_at=ended_at).where(
        BuildUseRow.build_id == build_id,
        BuildUseRow.attempt == attempt,
        BuildUseRow.ended_at.is_null(),
    ).execute()


_USES = """
    SELECT u.owner_id, u.began_at, u.ended_at FROM build_uses u
    LEFT JOIN builds b ON b.id = u.build_id AND b.attempt = u.attempt AND b.state = 'running'
    WHERE u.owner_id = ANY(%s) AND u.began_at >= %s AND u.began_at < %s
    AND (u.ended_at IS NOT NULL OR b.id IS NOT NULL)
"""


def uses(owners: Collection[int], month: Month) -> dict[int, list[BuildUse]]:
    """Return the builds of these owners that began in a month; what the hub's own end cut off is left out."""
    found: dict[int, list[BuildUse]] = {owner: [] for owner in owners}
    rows = proxy.execute_sql(_USES, (list(owners), month.begins, month.ends))
    for owner, began_at, ended_at in rows:
        found[owner].append(BuildUse(began_at, ended_at))
    return found


# -- disk


def disk(owners: Collection[int]) -> dict[int, tuple[DiskSizes, datetime]]:
    """Return what these owners' things took when that was last measured."""
    rows = DiskUseRow.select().where(DiskUseRow.owner_id.in_(list(owners)))
    return {
        row.owner_id: (
            DiskSizes(row.images_bytes, row.data_bytes, row.uploads_bytes),
            row.measured_at,
        )
        for row in rows
    }


def put_disk(measured: Mapping[int, DiskSizes], at: datetime) -> None:
    """Write what was measured; whoever is not named has nothing."""
    DiskUseRow.delete().execute()
    rows = [
        {
            "owner_id": owner,
            "images_bytes": sizes.images_bytes,
            "data_bytes": sizes.data_bytes,
            "uploads_bytes": sizes.uploads_bytes,
            "measured_at": at,
        }
        for owner, sizes in measured.items()
    ]
    if rows:
        DiskUseRow.insert_many(rows).execute()


# -- owners


def names(owners: Collection[int]) -> dict[int, str]:
    """Return what owners are called: an address, or an organisation's name."""
    rows = proxy.execute_sql(
        "SELECT id, email FROM users WHERE id = ANY(%s) UNION ALL SELECT -id, name FROM orgs WHERE -id = ANY(%s)",
        (list(owners), list(owners)),
    )
    return dict(rows)


def owners_of_servers() -> dict[int, int]:
    """Return to whom each server belongs."""
    return dict(
        proxy.execute_sql("SELECT id, COALESCE(-org_id, owner_id) FROM servers")
    )
