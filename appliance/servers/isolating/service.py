"""How far a server is kept apart, for people: what is asked, what holds, which limits it ran into; and changing it."""

import contextlib
from dataclasses import replace

from appliance.accounts.model import Principal
from appliance.core.errors import UnavailableError
from appliance.infra.database import Database
from appliance.runtimes.isolation import Isolation, Tier
from appliance.runtimes.model import ExecutorDescriptor, Limits
from appliance.runtimes.ports import Executor
from appliance.servers.access import visible_server
from appliance.servers.isolating import store
from appliance.servers.isolating.model import IsolationView, LimitHit
from appliance.servers.model import Server
from appliance.servers.service import ServerService, ServerView


class IsolationService:
    """Shows and changes the isolation of servers on behalf of a principal.

    Args:
        data_limit_bytes: What may lie in a server's /data whose configuration says nothing; 0: no limit.
    """

    def __init__(
        self,
        database: Database,
        servers: ServerService,
        executor: Executor,
        *,
        data_limit_bytes: int,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._servers = servers
        self._executor = executor
        self._data_limit_bytes = data_limit_bytes

    async def view(self, principal: Principal, server: int | str) -> IsolationView:
        """Return a server's isolation, as it is asked for and as it holds."""

        def read() -> tuple[Server, tuple[LimitHit, ...]]:
            found = visible_server(principal, server)
            return found, store.hits(found.id)

        found, hits = await self._database.run(read)
        config = found.config
        box = await self.offered()
        uses = await self._executor.data_uses([found.id])
        size = config.isolation.data_bytes or self._data_limit_bytes
        return IsolationView(
            server_id=found.id,
            server_name=found.name,
            isolation=config.isolation,
            limits=Limits(config.cpu_limit, config.memory_limit_bytes),
            data_bytes=size,
            data=uses.get(found.id),
            data_unlimited_because=box.data_unlimited_because if size else "",
            tiers=box.isolation_tiers,
            capabilities=box.capabilities,
            hits=hits,
        )

    async def offered(self) -> ExecutorDescriptor:
        """Return what this box has; while its engine does not answer, what every box has."""
        with contextlib.suppress(UnavailableError):
            return await self._executor.describe()
        return ExecutorDescriptor(
            self._executor.name, frozenset(), frozenset({Tier.STANDARD})
        )

    async def change(
        self, principal: Principal, server: int | str, isolation: Isolation
    ) -> ServerView:
        """Change how far a server is kept apart, and redeploy it.

        Raises:
            InvalidError: A value is out of bounds, or this box cannot give it.
            ForbiddenError: It takes hardening away, and they are no administrator.
        """
        view = await self._servers.get(principal, server)
        config = replace(view.server.config, isolation=isolation)
        return await self._servers.configure(principal, view.server.id, config)
