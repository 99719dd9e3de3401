"""Remembers what was published and removes what nothing refers to any more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from appliance.core.images import Published
from appliance.infra.database import Database
from appliance.jobs.queue import enqueue
from appliance.registry import store, telemetry
from appliance.registry.client import RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import push_scopes
from appliance.registry.prune import (
    Kept,
    PrunePlan,
    References,
    prune_plan,
    strays,
)
from appliance.registry.publications import Publication
from appliance.registry.shelves import look

log = structlog.get_logger("registry.push")

#: The job's kind; its payload is ``server_id`` and ``repository`` (with the host).
PRUNE = "registry.prune"
_STARTED = telemetry.Event.MANIFEST_PRUNE_STARTED.value
_SUCCEEDED = telemetry.Event.MANIFEST_PRUNE_SUCCEEDED.value
_FAILED = telemetry.Event.MANIFEST_PRUNE_FAILED.value


def enqueue_prune(server_id: int, repository: str) -> int:
    """Have a repository pruned; runs inside ``database.run``."""
    payload = {"server_id": server_id, "repository": repository}
    lane = f"{PRUNE}:{repository}"
    return enqueue(PRUNE, payload, lane=lane, max_attempts=3)


@dataclass(frozen=True)
class Pruned:
    """What became of one pruning."""

    #: Nothing goes while something is on its way.
    is_busy: bool = False
    #: How many manifests were removed.
    removed: int = 0
    #: Whether the registry removes nothing, whoever asks.
    is_refused: bool = False


class Pruner:
    """Keeps repositories free of what nothing refers to.

    Args:
        database: Says what was published.
        client: Of the registry; ``None`` is answered where none is configured.
        references: Everybody who may refer to a manifest.
        owner: This installation's id, with which its tags begin.
    """

    def __init__(
        self,
        database: Database,
        client: Callable[[], RegistryClient],
        references: Sequence[References],
        *,
        owner: str,
        retry_limit: int = 0,
    ) -> None:
        """Keep the parts."""
        self._owner = owner
        self._database = database
        self._client = client
        self._references = tuple(references)
        self._retry_limit = retry_limit

    async def published(
        self, server_id: int, deployment_id: int, published: Published
    ) -> None:
        """Remember what was published and have the repository pruned, both or neither."""

        def write() -> None:
            store.add_publication(server_id, deployment_id, published)
            enqueue_prune(server_id, published.repository)

        await self._database.run(write)

    async def plan(self, server_id: int, repository: str) -> tuple[PrunePlan, Kept]:
        """Return what would go, and what somebody refers to.

        Args:
            repository: With the host.

        Raises:
            RegistryError: The registry did not tell what it holds.
        """
        found, kept = await self._database.run(self._known, server_id, repository)
        if kept.is_busy or not found:
            return PrunePlan((), ()), kept
        client = self._client()
        shelf = await look(client, _path(client, repository), found)
        # Whoever began to refer to something while we looked is heard as well.
        found, kept = await self._database.run(self._known, server_id, repository)
        # The newest comes first, and stays; those that nobody remembers are older by all that is known.
        found += strays(found, shelf, owner=self._owner, server_id=server_id)
        return prune_plan(found, kept, shelf), kept

    async def prune(self, server_id: int, repository: str) -> Pruned:
        """Remove what nothing refers to; done again after a crash it goes on where it was.

        Raises:
            RegistryError: The registry failed; what was removed until then stays so.
        """
        plan, kept = await self.plan(server_id, repository)
        if kept.is_busy or not plan.digests:
            return Pruned(is_busy=kept.is_busy)
        run = _Run(self._client(), server_id, repository, self._retry_limit)
        run.was_refused = await self._database.run(_was_refused, run.client.host)
        if not run.was_refused:
            await self._tell(run, _STARTED, manifests=len(plan.digests))
        try:
            await _delete(run, plan)
        except RegistryError as error:
            # What is half removed is still known, so that the next run removes the other half.
            return await self._failed(run, error)
        gone = [item.digest for item in plan.publications]
        await self._database.run(store.set_pruned, repository, gone)
        if run.was_refused:
            await self._tell(run, _STARTED, manifests=len(plan.digests))
        await self._tell(run, _SUCCEEDED, manifests=len(run.removed))
        return Pruned(removed=len(run.removed))

    async def _failed(self, run: "_Run", error: RegistryError) -> Pruned:
        """Tell that it failed, and raise what did, unless the registry removes nothing at all."""
        is_refused = error.kind is ErrorKind.UNSUPPORTED
        # That is told once, and not at every build.
        if not (is_refused and run.was_refused):
            kind = error.kind.value
            await self._tell(run, _FAILED, error_kind=kind, reason=error.reason)
        if not is_refused:
            raise error
        return Pruned(is_refused=True)

    def _known(self, server_id: int, repository: str) -> tuple[list[Publication], Kept]:
        kept = Kept()
        for item in self._references:
            kept |= item.kept(server_id)
        return store.publications(repository), kept

    async def _tell(self, run: "_Run", event: str, **more: Any) -> None:
        details = {
            "retry_limit": run.retry_limit,
            "registry_endpoint": run.client.host,
            "auth_expired": more.get("error_kind") == ErrorKind.AUTH_EXPIRED.value,
            "scopes": list(push_scopes(run.path)),
            "repository": run.repository,
            "digests": list(run.removed),
            **more,
        }

        def write() -> None:
            host = run.client.host
            store.add_event(event, host, details, server_id=run.server_id)
            telemetry.record(run.server_id, event, **details)

        await self._database.run(write)
        log.info(event, server_id=run.server_id, **details)


@dataclass
class _Run:
    """One pruning under way."""

    client: RegistryClient
    server_id: int
    #: With the host.
    repository: str
    retry_limit: int
    #: Whether the last pruning here found that the registry removes nothing.
    was_refused: bool = False
    removed: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The repository without its host."""
        return _path(self.client, self.repository)


async def _delete(run: _Run, plan: PrunePlan) -> None:
    for digest in plan.digests:
        await run.client.delete_manifest(run.path, digest)
        run.removed.append(digest)


def _path(client: RegistryClient, repository: str) -> str:
    """Return a repository without its host."""
    return repository.removeprefix(f"{client.host}/")


def _was_refused(host: str) -> bool:
    """Return whether the last pruning at ``host`` found that it removes nothing."""
    last = store.events([_SUCCEEDED, _FAILED], host=host, limit=1)
    kind = last[0].details.get("error_kind") if last else None
    return kind == ErrorKind.UNSUPPORTED.value
