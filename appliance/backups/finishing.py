"""What a database that was brought back needs before anybody uses it: migrations, a look at its chains, new builds."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from appliance.accounts.model import SYSTEM
from appliance.artifacts.service import LedgerService
from appliance.infra import migrations
from appliance.infra.connections import connect, connection_arguments
from appliance.infra.database import Database
from appliance.observability.audit import AuditTrail, record
from appliance.servers import store
from appliance.servers.deploys.model import Trigger
from appliance.servers.model import DesiredState, Status
from appliance.servers.service import reconcile_soon

_WHY = "Its image was not in the backup, so it is built anew."


def finisher(directory: Path, *, told: dict[str, str]) -> Callable[[str], list[str]]:
    """Return what migrates a database, compares its chains with their hashes, and writes the restore into its trail.

    Args:
        directory: Of the migrations.
        told: What the trail is told of the restore.
    """

    def finish(url: str) -> list[str]:
        with closing(connect(connection_arguments(url))) as connection:
            applied = migrations.migrate(connection, directory)
        notes = [f"{len(applied)} migrations were applied."] if applied else []
        return notes + asyncio.run(_check(url, told))

    return finish


async def _check(url: str, told: dict[str, str]) -> list[str]:
    database = Database(url, size=2)
    try:
        ledger = await LedgerService(database, servers=store.facts, targets=()).verify(
            SYSTEM
        )
        trail = await AuditTrail(database).verify()
        await database.run(
            record, SYSTEM, "backup.restore", object_type="backup", details=told
        )
    finally:
        await asyncio.to_thread(database.close)
    broken = [
        f"{name} is not what was written: {breaks[0].message}"
        for name, breaks in (
            ("The ledger", ledger.breaks),
            ("The audit trail", trail.breaks),
        )
        if breaks
    ]
    fine = f"The ledger ({ledger.runs} builds) and the audit trail ({trail.lines} lines) are as they were written."
    return broken or [fine]


def rebuild(url: str, server_ids: list[int]) -> None:
    """Have servers built anew from the source and version of what was live."""

    def write() -> None:
        for server_id in server_ids:
            server = store.find_by_id(server_id)
            if server is None or server.desired_state is not DesiredState.RUNNING:
                continue
            store.add_deployment(
                server,
                requested_by=SYSTEM.name,
                trigger=Trigger.SECOND_ATTEMPT,
                reason=_WHY,
            )
            store.set_status(server_id, Status.QUEUED, _WHY)
            reconcile_soon(server_id)

    database = Database(url, size=2)
    try:
        database.run_blocking(write)
    finally:
        database.close()
