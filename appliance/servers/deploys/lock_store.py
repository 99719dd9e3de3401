"""Deploy locks as rows. Every function runs inside ``database.run``."""

from collections.abc import Collection

from appliance.core.clock import now
from appliance.servers.deploys.model import DeployLock
from appliance.servers.errors import DeployLockedError
from appliance.servers.tables import DeployLockRow


def of(server_id: int) -> DeployLock | None:
    """Return the server's lock, if it has one."""
    return of_all([server_id]).get(server_id)


def of_all(server_ids: Collection[int]) -> dict[int, DeployLock]:
    """Return the locks of these servers; those that have none are left out."""
    rows = DeployLockRow.select().where(DeployLockRow.server_id.in_(list(server_ids)))
    return {
        row.server_id: DeployLock(
            row.server_id, row.reason, row.locked_by, row.locked_at
        )
        for row in rows
    }


def put(server_id: int, *, reason: str, locked_by: str) -> None:
    """Lock a server; a lock that is there stays, with its first author."""
    DeployLockRow.insert(
        server_id=server_id, reason=reason, locked_by=locked_by, locked_at=now()
    ).on_conflict_ignore().execute()


def remove(server_id: int) -> bool:
    """Unlock a server, and return whether it was locked."""
    query = DeployLockRow.delete().where(DeployLockRow.server_id == server_id)
    return bool(query.execute())


def require_unlocked(server_id: int, name: str) -> None:
    """Refuse while the server is locked.

    Raises:
        DeployLockedError: It is; says by whom and why.
    """
    lock = of(server_id)
    if lock is not None:
        raise DeployLockedError(
            f"Deployments of {name} are locked by {lock.locked_by} since"
            f" {lock.locked_at:%Y-%m-%d %H:%M} UTC: {lock.reason}",
            hint="Whoever may change the server can remove the lock.",
        )
