"""What people ask about a server's health."""

from dataclasses import dataclass, replace
from datetime import timedelta

from appliance.accounts.model import Action, Principal
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.checks.watch import HealthWatch
from appliance.servers.errors import NothingToCheckError
from appliance.servers.health import policy as policies
from appliance.servers.health import store as health_store
from appliance.servers.health.model import Health, HealthState, StatusChange
from appliance.servers.health.pace import rhythm_s
from appliance.servers.health.policy import HealthPolicy
from appliance.servers.health.uptime import Uptime, uptime
from appliance.servers.model import Server
from appliance.servers.service import ServerService

WINDOW = timedelta(days=1)


@dataclass(frozen=True)
class HealthView:
    """A server, and what is known of its health."""

    server: Server
    health: Health
    uptime: Uptime

    @property
    def rhythm_s(self) -> float:
        """Seconds from the start of one check to the next."""
        return rhythm_s(self.server.config.health)


class HealthService:
    """Tells of a server's health to whoever may see the server.

    Args:
        database: Where it is kept.
        servers: Keeps the configuration.
        watch: Asks.
    """

    def __init__(
        self, database: Database, servers: ServerService, watch: HealthWatch
    ) -> None:
        """Keep the three."""
        self._database = database
        self._servers = servers
        self.watch = watch

    async def view(self, principal: Principal, server: int | str) -> HealthView:
        """Return what is known, and what the last day was like.

        Raises:
            ServerNotFoundError: They may not know of it, or there is none.
        """

        def read() -> HealthView:
            return _view(visible_server(principal, server))

        return await self._database.run(read)

    async def configure(
        self, principal: Principal, server: int | str, policy: HealthPolicy
    ) -> HealthView:
        """Change how a server is checked, from now on and without a redeploy.

        Raises:
            ServerNotFoundError: They may not know of it, or there is none.
            NotAllowedError: They may see it, not change it.
            InvalidError: The policy is wrong.
        """
        before = await self._servers.get(principal, server)
        wrong = policies.problems(policy)
        if wrong:
            fields = {
                name.removeprefix("health."): text for name, text in wrong.items()
            }
            raise InvalidError("The checks were not changed.", fields=fields)
        config = replace(before.server.config, health=policy)
        await self._servers.configure(principal, before.server.id, config)
        return await self.view(principal, before.server.id)

    async def check(self, principal: Principal, server: int | str) -> HealthView:
        """Ask the server now, and return what is known then.

        Raises:
            ServerNotFoundError: They may not know of it, or there is none.
            NotAllowedError: They may see it, not change it.
            NothingToCheckError: Nothing of it runs.
        """

        def begin() -> Server:
            found = writable_server(principal, server, Action.DEPLOY)
            record_write(principal, "server.check", found)
            return found

        found = await self._database.run(begin)
        if await self.watch.check_now(found.id) is None:
            raise NothingToCheckError(
                f"Nothing of {found.name} runs now.",
                hint="Start it, or see why it does not run.",
            )
        await self.watch.write()
        return await self.view(principal, found.id)

    async def history(
        self,
        principal: Principal,
        server: int | str,
        *,
        before: int | None = None,
        limit: int = 50,
    ) -> list[StatusChange]:
        """Return how the status changed, newest first; ``before`` (a change's id) is the cursor.

        Raises:
            ServerNotFoundError: They may not know of it, or there is none.
        """

        def read() -> list[StatusChange]:
            found = visible_server(principal, server)
            return health_store.history(found.id, before=before, limit=limit)

        return await self._database.run(read)

    async def prune(self) -> int:
        """Remove history that is too old; for the clock."""
        return await self._database.run(health_store.prune)


def _view(server: Server) -> HealthView:
    moment = now()
    unknown = Health(HealthState.UNKNOWN, "", "", 0, None, server.status_since)
    changes = health_store.history_since(server.id, moment - WINDOW)
    return HealthView(
        server=server,
        health=health_store.of(server.id) or unknown,
        uptime=uptime(changes, moment - WINDOW, moment),
    )
