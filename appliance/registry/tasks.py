"""Job entry points: a look at the credentials, a rotation that somebody asked for, a repository's pruning."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog

from appliance.core.clock import now
from appliance.jobs.model import Again, JobContext
from appliance.jobs.queue import enqueue
from appliance.registry import store
from appliance.registry.client import RegistryClient
from appliance.registry.credentials import Asker, CredentialKeeper
from appliance.registry.errors import RegistryError
from appliance.registry.prune_service import Pruner
from appliance.registry.rotation import RefreshFailedError

log = structlog.get_logger("registry.push")

#: Looks at the credentials, and rotates them if that is due.
CHECK = "registry.check"
#: Rotates them whatever they are like.
ROTATE = "registry.rotate"
#: Both work on one file.
LANE = "registry:credentials"
#: How long is known what became of credentials and old manifests.
KEEP = timedelta(days=14)
#: Seconds until a pruning is tried again that found a build on its way.
BUSY_S = 15.0


def enqueue_check() -> int:
    """Have the credentials looked at; runs inside ``database.run``."""
    return enqueue(CHECK, {}, lane=LANE, max_attempts=1)


def enqueue_rotation() -> int:
    """Have the credentials rotated; runs inside ``database.run``."""
    return enqueue(ROTATE, {}, lane=LANE, max_attempts=1)


class CheckTask:
    """Looks at the credentials: their age, and whether the registry takes them."""

    def __init__(self, keeper: CredentialKeeper, client: RegistryClient) -> None:
        """Keep the parts."""
        self._keeper = keeper
        self._client = client

    async def __call__(
        self, _context: JobContext, _payload: Mapping[str, Any]
    ) -> Again | None:
        """Ask the registry, report, and rotate if that is due.

        A registry that is away says nothing about the credentials.
        """
        trouble = ""
        try:
            self._client.forget_tokens()
            await self._client.ping()
        except RegistryError as error:
            if error.is_auth_expired:
                await self._keeper.refuse()
            else:
                trouble = error.reason
        else:
            if self._client.has_shown_credentials:
                self._keeper.accept()
        await self._keeper.look(Asker(), trouble=trouble)
        return None


class RotateTask:
    """Rotates the credentials because somebody asked for it."""

    def __init__(self, keeper: CredentialKeeper) -> None:
        """Keep the keeper."""
        self._keeper = keeper

    async def __call__(
        self, _context: JobContext, _payload: Mapping[str, Any]
    ) -> Again | None:
        """Run the refresh command.

        Raises:
            RefreshFailedError: There are no fresh credentials.
        """
        _, outcome = await self._keeper.look(Asker(is_forced=True))
        if outcome is False:
            raise RefreshFailedError(self._keeper.last_failure)
        return None


class PruneTask:
    """Removes from one repository what nothing refers to."""

    def __init__(self, pruner: Pruner) -> None:
        """Keep the pruner."""
        self._pruner = pruner

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Prune ``payload["repository"]`` of ``payload["server_id"]``; wait while a build of the server runs.

        Raises:
            RegistryError: The registry failed.
        """
        done = await self._pruner.prune(
            int(payload["server_id"]), str(payload["repository"])
        )
        return Again(BUSY_S) if done.is_busy else None


def look_around() -> None:
    """Enqueue a look at the credentials, unless one waits already, and forget what is long past."""
    enqueue_check()
    store.forget_events(now() - KEEP)
