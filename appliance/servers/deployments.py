"""What people do with deployments: look, compare, go back, cancel, lock."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from appliance.accounts.model import Action, Principal
from appliance.builds.model import BuildLine
from appliance.builds.service import BuildService
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.jobs.queue import cancel_running_in_lane, enqueue
from appliance.servers import deployment_store, store
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.config import check_config, config_as_dict
from appliance.servers.deploys import lock_store
from appliance.servers.deploys.diff import Change, changes
from appliance.servers.deploys.model import DeployLock, Trigger
from appliance.servers.deploys.policy import DeployPolicy
from appliance.servers.errors import NotPendingError, NotRetainedError
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    DesiredState,
    Server,
    ServerConfig,
    Status,
)
from appliance.servers.service import RECONCILE, lane_of
from appliance.sources.spec import as_dict as source_as_dict

MAX_REASON = 500


@dataclass(frozen=True)
class DeploymentView:
    """A deployment as people see it."""

    server: Server
    deployment: Deployment
    #: Whether it can be gone back to.
    is_retained: bool


@dataclass(frozen=True)
class Comparison:
    """How a deployment differs from another."""

    before: Deployment | None
    after: Deployment
    changes: tuple[Change, ...]


class DeploymentService:
    """Answers and acts on behalf of a principal; who may not know of a server gets ``ServerNotFoundError``."""

    def __init__(self, database: Database, builds: BuildService) -> None:
        """Keep the collaborators."""
        self._database = database
        self._builds = builds

    # -- reading

    async def page(
        self,
        principal: Principal,
        server: int | str,
        *,
        states: Collection[DeploymentState] = (),
        triggers: Collection[Trigger] = (),
        before: int | None = None,
        limit: int = 20,
    ) -> list[DeploymentView]:
        """Return a server's deployments, newest first; ``before`` (a number) is the cursor."""

        def read() -> list[DeploymentView]:
            found = visible_server(principal, server)
            kept = _retained(found)
            rows = deployment_store.page(
                found.id, states=states, triggers=triggers, before=before, limit=limit
            )
            return [DeploymentView(found, row, row.number in kept) for row in rows]

        return await self._database.run(read)

    async def get(
        self, principal: Principal, server: int | str, number: int
    ) -> DeploymentView:
        """Return one deployment.

        Raises:
            NoDeploymentError: There is none of this number.
        """

        def read() -> DeploymentView:
            found = visible_server(principal, server)
            row = deployment_store.numbered(found.id, number)
            return DeploymentView(found, row, number in _retained(found))

        return await self._database.run(read)

    async def compare(
        self,
        principal: Principal,
        server: int | str,
        number: int,
        *,
        against: int | None = None,
    ) -> Comparison:
        """Return how a deployment differs from another.

        Args:
            principal: Who asks.
            server: Whose.
            number: Of the deployment.
            against: Of the other; ``None``: the one that was live before it.

        Raises:
            NoDeploymentError: There is none of this number.
        """

        def read() -> Comparison:
            found = visible_server(principal, server)
            after = deployment_store.numbered(found.id, number)
            before = (
                deployment_store.before(after)
                if against is None
                else deployment_store.numbered(found.id, against)
            )
            differing = changes(_document(before), _document(after))
            return Comparison(before, after, tuple(differing))

        return await self._database.run(read)

    async def log(
        self, principal: Principal, server: int | str, number: int, *, after: int = 0
    ) -> list[BuildLine]:
        """Return the lines of the build that made its image, from the line after number ``after``.

        Raises:
            NoDeploymentError: There is none of this number.
        """

        def read() -> Deployment:
            found = visible_server(principal, server)
            row = deployment_store.numbered(found.id, number)
            if row.made_of is None:
                return row
            return deployment_store.numbered(found.id, row.made_of)

        built = await self._database.run(read)
        view = await self._builds.get(built.id)
        return await self._builds.lines(view.id, after=after) if view else []

    async def lock_of(
        self, principal: Principal, server: int | str
    ) -> DeployLock | None:
        """Return why the server is not deployed for a while; ``None``: it is."""
        return await self._database.run(
            lambda: lock_store.of(visible_server(principal, server).id)
        )

    # -- writing

    async def rollback(
        self, principal: Principal, server: int | str, number: int
    ) -> DeploymentView:
        """Go back to a deployment: a new one is made from its image, source and configuration, and nothing is built.

        Raises:
            NoDeploymentError: There is none of this number.
            NotRetainedError: It was never live, is live now, or is older than those that are retained.
            DeployLockedError: The server is locked.
        """

        def write() -> DeploymentView:
            found = writable_server(principal, server, Action.DEPLOY)
            target = deployment_store.numbered(found.id, number)
            _require_retained(found, target)
            made = go_back(
                found, target, requested_by=principal.name, trigger=Trigger.ROLLBACK
            )
            details = {"to": number, "deployment": made.number}
            record_write(principal, "server.rollback", found, details)
            return DeploymentView(store.get(found.id), made, is_retained=False)

        return await self._database.run(write)

    async def cancel(
        self, principal: Principal, server: int | str, number: int
    ) -> DeploymentView:
        """End a deployment that is on its way; what is live goes on.

        Raises:
            NoDeploymentError: There is none of this number.
            NotPendingError: It has ended already.
        """

        def write() -> DeploymentView:
            found = writable_server(principal, server, Action.DEPLOY)
            row = deployment_store.numbered(found.id, number)
            why = f"{principal.name} cancelled it."
            if not store.fail_deployment(row, why, DeploymentState.CANCELLED):
                raise NotPendingError(
                    f"Deployment {number} is {row.state.value} already.",
                    hint="Roll back to an earlier one to undo it.",
                )
            # Without a live one, the status follows from the facts.
            store.set_status(found.id, Status.STARTING)
            _work_on(found.id)
            record_write(
                principal, "server.cancel_deployment", found, {"deployment": number}
            )
            ended = deployment_store.numbered(found.id, number)
            return DeploymentView(found, ended, is_retained=False)

        return await self._database.run(write)

    async def set_policy(
        self, principal: Principal, server: int | str, policy: DeployPolicy
    ) -> DeployPolicy:
        """Change how a server's versions take each other's place; it holds at once.

        Raises:
            InvalidError: A value is out of bounds.
        """

        def write() -> DeployPolicy:
            found = writable_server(principal, server)
            config = check_config(replace(found.config, deploys=policy))
            store.set_config(found.id, config_as_dict(config))
            record_write(
                principal,
                "server.deploy_policy",
                found,
                before=found.config,
                after=config,
            )
            return config.deploys

        return await self._database.run(write)

    async def lock(
        self, principal: Principal, server: int | str, reason: str
    ) -> DeployLock:
        """Refuse deployments of a server from now on; what the appliance does to mend something goes on.

        Raises:
            InvalidError: No reason was given, or a long one.
        """
        reason = reason.strip()
        if not 1 <= len(reason) <= MAX_REASON:
            raise InvalidError.field(
                "reason", f"say in 1 to {MAX_REASON} characters why"
            )

        def write() -> DeployLock | None:
            found = writable_server(principal, server, Action.DEPLOY)
            before = lock_store.of(found.id)
            lock_store.put(found.id, reason=reason, locked_by=principal.name)
            after = lock_store.of(found.id)
            record_write(
                principal,
                "server.lock_deploys",
                found,
                {"reason": reason},
                before=_told(before),
                after=_told(after),
            )
            return after

        lock = await self._database.run(write)
        assert lock is not None  # noqa: S101 - written in the same transaction
        return lock

    async def unlock(self, principal: Principal, server: int | str) -> None:
        """Let a server be deployed again; one that is not locked stays so."""

        def write() -> None:
            found = writable_server(principal, server, Action.DEPLOY)
            before = lock_store.of(found.id)
            if lock_store.remove(found.id):
                record_write(
                    principal,
                    "server.unlock_deploys",
                    found,
                    before=_told(before),
                    after=_told(None),
                )

        await self._database.run(write)


def go_back(
    server: Server,
    target: Deployment,
    *,
    requested_by: str,
    trigger: Trigger,
    reason: str = "",
) -> Deployment:
    """Add the deployment that goes back to ``target``, and make the server's source and configuration what they were.

    Runs inside ``database.run``.

    Raises:
        DeployLockedError: The server is locked, and ``trigger`` is one that locks refuse.
    """
    config = as_it_ran(target.config, server.config)
    store.set_desired(server.id, DesiredState.RUNNING)
    store.set_source(server.id, target.source)
    changed = store.set_config(server.id, config_as_dict(config))
    made = store.add_deployment(
        changed,
        requested_by=requested_by,
        trigger=trigger,
        reason=reason,
        like=target,
    )
    store.set_status(server.id, Status.STARTING, reason)
    _work_on(server.id)
    return made


def as_it_ran(old: ServerConfig, now: ServerConfig) -> ServerConfig:
    """Return the old configuration with that of now where it takes no deployment to change it. Pure."""
    return replace(
        old,
        tools=now.tools,
        listed=now.listed,
        trace_bodies=now.trace_bodies,
        limits=now.limits,
        health=now.health,
        deploys=now.deploys,
        pinning=now.pinning,
        egress=now.egress,
    )


def _work_on(server_id: int) -> None:
    cancel_running_in_lane(lane_of(server_id))
    enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))


def _retained(server: Server) -> set[int]:
    return deployment_store.retained(server.id, server.config.deploys.retain)


def _require_retained(server: Server, target: Deployment) -> None:
    if target.state is DeploymentState.LIVE:
        raise NotRetainedError(f"Deployment {target.number} is live already.")
    if target.number not in _retained(server):
        raise NotRetainedError(
            f"Deployment {target.number} cannot be gone back to.",
            hint=f"The last {server.config.deploys.retain} that were live are retained (deploys.retain).",
        )


def _told(lock: DeployLock | None) -> dict[str, Any]:
    """Return a lock, or that there is none, for the trail."""
    return {
        "is_locked": lock is not None,
        "locked_by": lock.locked_by if lock else None,
        "reason": lock.reason if lock else None,
    }


def _document(deployment: Deployment | None) -> dict[str, Any]:
    if deployment is None:
        return {}
    return {
        "source": source_as_dict(deployment.source),
        "config": config_as_dict(deployment.config),
        "resolved": {
            name: value
            for name, value in deployment.resolved.items()
            if name not in _NOISE
        },
        "image": deployment.image or None,
    }


#: Told elsewhere, or by the version.
_NOISE = {"as_of_because", "kept"}
