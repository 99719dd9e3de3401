"""What people do with servers: every write says what is wanted and enqueues the reconciler; nothing here waits for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from appliance.accounts.access import Kind, sight
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs.model import Owner
from appliance.accounts.orgs.ownership import new_owner, require_room
from appliance.accounts.orgs.store import names as org_names
from appliance.builds.model import BuildLine, Lock
from appliance.builds.service import BuildService, BuildView
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import key_hash, new_key
from appliance.core.known_values import in_all
from appliance.core.secret_names import sorted_out
from appliance.domains.service import DomainService
from appliance.infra.database import Database
from appliance.jobs.queue import cancel_running_in_lane, enqueue
from appliance.observability.usage import UsageMetric, usage_of
from appliance.policy import store as policy_store
from appliance.policy.model import Hold
from appliance.runtimes.isolation import Isolation
from appliance.runtimes.model import (
    SessionContainer,
)
from appliance.runtimes.ports import Executor
from appliance.secrets import store as secret_store
from appliance.secrets.service import SecretService
from appliance.servers import manifest_store, store
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.config import (
    changes_what_runs,
    check_config,
    check_name,
    config_as_dict,
    name_from_source,
)
from appliance.servers.deploys.model import Trigger
from appliance.servers.egress import rights as egress_rights
from appliance.servers.errors import (
    CallRefusedError,
    NoBuildError,
    NoLockError,
    ServerNotRunningError,
)
from appliance.servers.manifests import ManifestChange
from appliance.servers.mcp import McpCallError, McpClient
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    DesiredState,
    NewServer,
    Server,
    ServerConfig,
    Status,
)
from appliance.servers.relaxing import (
    needs_more_than_every_box_has,
    require_may_relax,
    require_possible,
    told,
)
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import PackageSource, Source

RECONCILE = "servers.reconcile"
REFRESH = "servers.refresh_manifest"
#: Until the gateway has read what changed.
GATEWAY_READS_WITHIN = timedelta(seconds=1)
KEY_PREFIX = "mcps_"
#: JSON-RPC: the caller is wrong, not the server.
INVALID_PARAMS = -32602
#: Characters of a key that stay visible, so that a person recognises it.
KEY_VISIBLE = len(KEY_PREFIX) + 6


def lane_of(server_id: int) -> str:
    """Return the lane in which everything about one server happens, one thing after another."""
    return f"server:{server_id}"


@dataclass(frozen=True)
class ServerView:
    """A server as people see it."""

    server: Server
    #: Where MCP clients reach it.
    endpoint: str
    #: The newest deployment, whatever became of it.
    newest: Deployment | None
    #: The one that is live, if any; carries the manifest.
    live: Deployment | None
    #: Name of the organisation that it belongs to; empty: it is a person's.
    org: str = ""
    #: Deployments that may not run for now.
    holds: tuple[Hold, ...] = ()

    @property
    def missing_settings(self) -> tuple[str, ...]:
        """Names of the environment variables for want of which the newest deployment failed."""
        return self.newest.missing_settings if self.newest else ()


class ServerService:
    """Lists, creates, changes and calls servers on behalf of a principal.

    Whoever may not know of a server gets ``ServerNotFoundError``; whoever may see but not change it gets
    ``ForbiddenError``. A server is named by its id or its name.
    """

    def __init__(  # noqa: PLR0913 - what it calls
        self,
        database: Database,
        executor: Executor,
        builds: BuildService,
        mcp: McpClient,
        *,
        keeper: SourceKeeper,
        secrets: SecretService,
        gateway_public_url: str,
        domains: DomainService | None = None,
    ) -> None:
        """Keep the collaborators."""
        self._domains = domains
        self._secrets = secrets
        self._keeper = keeper
        self._database = database
        self._executor = executor
        self._builds = builds
        self._mcp = mcp
        self._gateway_public_url = gateway_public_url.rstrip("/")

    # -- reading

    async def page(
        self,
        principal: Principal,
        *,
        query: str = "",
        status: Status | None = None,
        after: str = "",
        limit: int = 50,
        org_id: int | None = None,
    ) -> list[ServerView]:
        """Return up to ``limit`` servers that the principal may see, by name, from the first name after ``after``.

        Args:
            principal: Who asks.
            query: Part of the name, any case; empty: all.
            status: Only those of this status.
            after: A name.
            limit: At most so many.
            org_id: Only this organisation's; ``None``: all.
        """

        def read() -> list[ServerView]:
            servers = store.page(
                sight=sight(principal),
                query=query,
                status=status,
                after=after,
                limit=limit,
                org_id=org_id,
            )
            return self._views(servers)

        return await self._database.run(read)

    async def get(self, principal: Principal, server: int | str) -> ServerView:
        """Return one server."""
        return await self._database.run(
            lambda: self._view(visible_server(principal, server))
        )

    async def deployments(
        self, principal: Principal, server: int | str
    ) -> list[Deployment]:
        """Return the newest 20 deployments, newest first."""
        return await self._database.run(
            lambda: store.deployments(visible_server(principal, server).id)
        )

    async def build(self, principal: Principal, server: int | str) -> BuildView:
        """Return the newest build.

        Raises:
            NoBuildError: Nothing was built for this server yet.
        """
        found = await self._database.run(visible_server, principal, server)
        view = await self._builds.latest(found.id)
        if view is None:
            raise NoBuildError(f"Nothing was built for {found.name} yet.")
        return view

    async def build_lines(
        self, principal: Principal, server: int | str, *, after: int = 0
    ) -> list[BuildLine]:
        """Return the newest build's log from the line after number ``after``."""
        view = await self.build(principal, server)
        return await self._builds.lines(view.id, after=after)

    async def lock(self, principal: Principal, server: int | str) -> Lock:
        """Return by version and hash what the live deployment of a package took; of the newest one if none is live.

        Raises:
            NoLockError: It is no package, or was not built yet.
        """
        view = await self.get(principal, server)
        shown = view.live or view.newest
        lock = await self._builds.lock(shown.id) if shown else None
        if lock is None:
            raise NoLockError(
                f"There is no lock of {view.server.name}: only packages that were built have one."
            )
        return lock

    async def sessions(
        self, principal: Principal, server: int | str
    ) -> list[SessionContainer]:
        """Return the containers that sessions of a stdio server have for themselves, oldest first.

        Raises:
            ServerNotFoundError: There is none that the caller may know of.
            EngineUnavailableError: The engine does not answer.
        """
        found = await self._database.run(lambda: visible_server(principal, server))
        return await self._executor.sessions(found.id)

    async def metrics(
        self, principal: Principal, server: int | str, *, limit: int = 200
    ) -> list[UsageMetric]:
        """Return the newest usage metrics, newest first."""

        def read() -> list[UsageMetric]:
            return usage_of(visible_server(principal, server).id, limit=limit)

        return await self._database.run(read)

    async def manifest_changes(
        self,
        principal: Principal,
        server: int | str,
        *,
        before: int | None = None,
        limit: int = 20,
    ) -> list[ManifestChange]:
        """Return what changed in what the server says of itself, newest first; ``before`` is the cursor."""

        def read() -> list[ManifestChange]:
            found = visible_server(principal, server)
            return manifest_store.of_server(found.id, before=before, limit=limit)

        return await self._database.run(read)

    # -- writing

    async def create(
        self, principal: Principal, new: NewServer
    ) -> tuple[ServerView, str]:
        """Add a server that wants to run, and return it with its endpoint key, which is shown this once.

        Raises:
            InvalidError: The name or the configuration is wrong, or the source is an archive that they did not bring.
            NotAllowedError: The principal may not add servers there.
            QuotaReachedError: No more may belong to the owner.
            ServerNameTakenError: Another server has the name.
        """
        await self._database.run(_new_owner, principal, new)
        name = check_name(new.name) if new.name else name_from_source(new.source)
        await self._check(new.config)
        require_may_relax(principal, Isolation(), new.config.isolation)
        egress_rights.require_may_lead_inside(principal, None, new.config.egress)
        key = new_key(KEY_PREFIX)
        values = await self._secrets.place(name, new.secrets)

        def write() -> ServerView:
            owner = _new_owner(principal, new)
            self._keeper.check(new.source, owner_id=owner.user_id)
            server = store.add(
                new,
                name=name,
                owner_id=owner.user_id,
                org_id=owner.org_id,
                key_hash=key_hash(key),
                key_prefix=key[:KEY_VISIBLE],
            )
            if new.credential:
                self._keeper.put(server.id, new.credential)
            for secret, value in values.items():
                self._secrets.keeper.put(server.id, secret, value, by=principal.name)
            store.add_deployment(
                server, requested_by=principal.name, trigger=Trigger.CREATE
            )
            reconcile_soon(server.id)
            told = {"names": sorted(values)} if values else None
            record_write(principal, "server.create", server, told)
            return self._view(store.get(server.id))

        return await self._database.run(write), key

    async def start(self, principal: Principal, server: int | str) -> ServerView:
        """Want the server running; crashes so far are forgiven. Deploys anew when nothing is live."""

        def write(found: Server) -> None:
            store.set_desired(found.id, DesiredState.RUNNING)
            if (
                store.deployment_in(
                    found.id, DeploymentState.PENDING, DeploymentState.LIVE
                )
                is None
            ):
                store.add_deployment(
                    found, requested_by=principal.name, trigger=Trigger.START
                )

        return await self._change(
            principal, server, "server.start", write, needed=Action.DEPLOY
        )

    async def stop(self, principal: Principal, server: int | str) -> ServerView:
        """Want the server stopped; a build that runs is cancelled."""
        return await self._change(
            principal,
            server,
            "server.stop",
            lambda found: store.set_desired(found.id, DesiredState.STOPPED),
            needed=Action.DEPLOY,
        )

    async def redeploy(
        self, principal: Principal, server: int | str, *, as_of: date | None = None
    ) -> ServerView:
        """Build and start the server anew from its source; a build that runs is cancelled.

        Args:
            principal: Who wants it.
            server: Which.
            as_of: Resolve the package anew, as of this day; ``None``: what it needs stays while its version does.

        Raises:
            InvalidError: ``as_of`` was given, and it is no package.
        """

        def write(found: Server) -> None:
            source = _as_of(found.source, as_of) if as_of else None
            store.set_desired(found.id, DesiredState.RUNNING)
            store.add_deployment(
                found,
                requested_by=principal.name,
                trigger=Trigger.REDEPLOY,
                source=source,
            )
            store.set_status(found.id, Status.QUEUED)

        return await self._change(
            principal, server, "server.redeploy", write, needed=Action.DEPLOY
        )

    async def configure(
        self,
        principal: Principal,
        server: int | str,
        config: ServerConfig,
        *,
        action: str = "server.configure",
    ) -> ServerView:
        """Change how the server is run, and redeploy it if that changes what runs.

        Who finds it, which tools clients see, how much they may ask and what is kept of it changes at once, without a redeploy.

        Raises:
            InvalidError: The configuration is wrong.
        """
        await self._check(config)

        def write() -> ServerView:
            found = writable_server(principal, server)
            egress_rights.require_may_lead_inside(
                principal, found.config.egress, config.egress
            )
            require_may_relax(principal, found.config.isolation, config.isolation)
            if changes_what_runs(found.config, config):
                _deploy_with(found, config, principal, Trigger.CONFIGURE)
            else:
                store.set_config(found.id, config_as_dict(config))
                if config.tools != found.config.tools:
                    _read_again(found.id)
            changed = told(found.config.isolation, config.isolation)
            changed |= egress_rights.told(found.config.egress, config.egress)
            record_write(
                principal, action, found, changed, before=found.config, after=config
            )
            return self._view(store.get(found.id))

        return await self._database.run(write)

    async def _check(self, config: ServerConfig) -> None:
        check_config(config)
        if needs_more_than_every_box_has(config.isolation):
            require_possible(config.isolation, await self._executor.describe())

    async def provide(
        self, principal: Principal, server: int | str, settings: Mapping[str, str]
    ) -> ServerView:
        """Give a server settings, and redeploy it; the rest of its configuration stays.

        What is secret by its name, or was a secret before, is kept as such; the rest is added to the environment.

        Raises:
            InvalidError: A name or a value is wrong.
            VaultAwayError: Secrets are kept in Vault, which does not answer.
        """

        def look() -> tuple[Server, set[str]]:
            found = writable_server(principal, server)
            return found, {item.name for item in secret_store.of_server(found.id)}

        found, known = await self._database.run(look)
        secret, plain = sorted_out(settings, known)
        values = await self._secrets.place(found.name, secret, server_id=found.id)

        def write() -> ServerView:
            found = writable_server(principal, server)
            environment = {**found.config.environment, **plain}
            for name, value in values.items():
                self._secrets.keeper.put(found.id, name, value, by=principal.name)
                environment.pop(name, None)
            config = check_config(replace(found.config, environment=environment))
            _deploy_with(found, config, principal, Trigger.SETTINGS)
            told = {"settings": sorted(plain), "names": sorted(values)}
            record_write(
                principal,
                "server.provide",
                found,
                told,
                before=found.config,
                after=config,
            )
            return self._view(store.get(found.id))

        return await self._database.run(write)

    async def delete(self, principal: Principal, server: int | str) -> ServerView:
        """Want the server gone, with its container, network, data volume and images. There is no way back."""
        return await self._change(
            principal,
            server,
            "server.delete",
            lambda found: store.set_desired(found.id, DesiredState.DELETED),
            needed=Action.DELETE,
        )

    async def rotate_key(self, principal: Principal, server: int | str) -> str:
        """Return a new endpoint key, shown this once; the old one stops working at once."""
        key = new_key(KEY_PREFIX)

        def write() -> None:
            found = writable_server(principal, server)
            store.set_key(
                found.id, key_hash=key_hash(key), key_prefix=key[:KEY_VISIBLE]
            )
            record_write(
                principal,
                "server.rotate_key",
                found,
                before={"endpoint_key_prefix": found.endpoint_key_prefix},
                after={"endpoint_key_prefix": key[:KEY_VISIBLE]},
            )

        await self._database.run(write)
        return key

    # -- calling

    async def invoke(
        self,
        principal: Principal,
        server: int | str,
        tool: str,
        arguments: dict[str, Any],
        *,
        timeout_s: float = 60,
    ) -> dict[str, Any]:
        """Call a tool through the gateway and return the MCP result.

        Raises:
            ServerNotRunningError: The server is not running; carries its reason.
            McpUnavailableError: The gateway or the server does not answer.
            CallRefusedError: The server does not know the tool, or not these arguments.
            McpCallError: The server answered with another error.
        """

        def check() -> Server:
            found = writable_server(principal, server, Action.CALL)
            if found.status not in {Status.RUNNING, Status.DEGRADED} and not _serves(
                found
            ):
                raise ServerNotRunningError(
                    f"{found.name} is {found.status.value}.",
                    hint=found.status_reason or "Start it first.",
                )
            record_write(principal, "server.invoke", found, {"tool": tool})
            return found

        found = await self._database.run(check)
        hide = await self._secrets.redactor(found.id)
        try:
            answer = await self._mcp.call_tool(
                found.name, tool, arguments, timeout_s=timeout_s
            )
        except McpCallError as error:
            error.detail = hide(error.detail)
            if error.rpc_code != INVALID_PARAMS:
                raise
            raise CallRefusedError(error.detail, hint=error.hint) from error
        return {name: in_all(value, hide) for name, value in answer.items()}

    # -- inside

    def _view(self, server: Server) -> ServerView:
        return self._views([server])[0]

    def _views(self, servers: Sequence[Server]) -> "list[ServerView]":
        """Return all views with five queries, however many servers there are."""
        ids = [server.id for server in servers]
        newest = store.deployments_in(ids)
        live = store.deployments_in(ids, DeploymentState.LIVE)
        holds = policy_store.holds_of(ids)
        orgs = org_names({server.org_id for server in servers if server.org_id})
        names = [server.name for server in servers]
        urls = self._domains.urls_of(names) if self._domains else {}
        return [
            ServerView(
                server=server,
                endpoint=urls.get(server.name)
                or f"{self._gateway_public_url}/servers/{server.name}/mcp",
                newest=newest.get(server.id),
                live=live.get(server.id),
                org=orgs.get(server.org_id or 0, ""),
                holds=tuple(holds.get(server.id, ())),
            )
            for server in servers
        ]

    async def _change(
        self,
        principal: Principal,
        server: int | str,
        action: str,
        write: Callable[[Server], object],
        *,
        needed: Action,
    ) -> ServerView:
        def run() -> ServerView:
            found = writable_server(principal, server, needed)
            write(found)
            # What runs now works towards what was wanted before; the job queued here starts from what is wanted now.
            cancel_running_in_lane(lane_of(found.id))
            reconcile_soon(found.id)
            record_write(principal, action, found)
            return self._view(store.get(found.id))

        return await self._database.run(run)


def _new_owner(principal: Principal, new: NewServer) -> Owner:
    owner = new_owner(principal, Kind.SERVER, new.org)
    require_room(owner, store.count(owner))
    return owner


def reconcile_soon(server_id: int) -> None:
    """Have a server looked at, once the transaction has committed."""
    enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))


def _deploy_with(
    server: Server, config: ServerConfig, principal: Principal, trigger: Trigger
) -> None:
    changed = store.set_config(server.id, config_as_dict(config))
    store.set_desired(server.id, DesiredState.RUNNING)
    store.add_deployment(changed, requested_by=principal.name, trigger=trigger)
    store.set_status(server.id, Status.QUEUED)
    cancel_running_in_lane(lane_of(server.id))
    reconcile_soon(server.id)


def _as_of(source: Source, day: date) -> Source:
    if not isinstance(source, PackageSource):
        raise InvalidError.field("as_of", "only a package is resolved as of a day")
    return replace(source, as_of=day)


def _read_again(server_id: int) -> None:
    """Have the manifest read again: it holds the tools that clients see."""
    enqueue(
        REFRESH,
        {"server_id": server_id},
        lane=lane_of(server_id),
        run_at=now() + GATEWAY_READS_WITHIN,
    )


def _serves(server: Server) -> bool:
    return server.deployment_id is not None and bool(store.records(server.id))
