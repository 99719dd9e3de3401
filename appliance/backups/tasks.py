"""Job entry points: a backup, and a look whether one is whole; each a process of its own."""

from collections.abc import Mapping
from typing import Any

from appliance.backups import store
from appliance.backups.model import BackupState
from appliance.backups.service import BackupService, failure
from appliance.infra.database import Database
from appliance.jobs.model import Again, JobContext


class MakeTask:
    """Makes a backup that somebody began; one whose hub was killed is made anew under the same number."""

    def __init__(self, database: Database, service: BackupService) -> None:
        """Keep the parts."""
        self._database = database
        self._service = service

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Run the command, which writes down how far it is and how it ended.

        Raises:
            BackupFailedError: It failed.
        """
        backup = await self._service.get(int(payload["backup_id"]))
        if backup.state is not BackupState.RUNNING:
            return None
        done = await self._service.run(
            "backup", "--row", str(backup.id), "--to", backup.target
        )
        if done.code == 0:
            return None
        error = failure(done)
        # Where it could not even begin, it wrote nothing down.
        await self._database.run(store.end, backup.id, BackupState.FAILED, error.detail)
        if (await self._service.get(backup.id)).state is BackupState.CANCELLED:
            return None
        raise error


class VerifyTask:
    """Reads a backup at its target and opens every part."""

    def __init__(self, service: BackupService) -> None:
        """Keep the service."""
        self._service = service

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Run the command, which writes down what it found.

        Raises:
            BackupFailedError: It is not whole, or its target does not answer.
        """
        backup = await self._service.get(int(payload["backup_id"]))
        done = await self._service.run(
            "backup-verify", backup.name, "--target", backup.target, "--row", str(backup.id),
        )  # fmt: skip
        if done.code:
            raise failure(done)
        return None
