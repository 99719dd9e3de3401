"""Where servers may go, for people: what counts, what was tried, and changing it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from appliance.accounts.model import Principal
from appliance.core.egress import EgressMode, EgressPolicy
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.egress import store
from appliance.servers.egress.denials import proposals
from appliance.servers.egress.model import Attempt, ServerEgress
from appliance.servers.model import Server
from appliance.servers.service import ServerService
from appliance.sources.model import RemoteSource

LOOKS = 20
LOOK_EVERY_S = 0.05


class EgressService:
    """Shows and changes where servers may go, on behalf of a principal. Changes count at once, without a redeploy."""

    def __init__(self, database: Database, servers: ServerService) -> None:
        """Keep the collaborators."""
        self._database = database
        self._servers = servers

    async def view(self, principal: Principal, server: int | str) -> ServerEgress:
        """Return what counts for a server and why."""
        return await self._database.run(
            lambda: _view(visible_server(principal, server))
        )

    async def denied(
        self, principal: Principal, server: int | str
    ) -> tuple[tuple[Attempt, ...], tuple[str, ...]]:
        """Return what a server was denied, the latest first, and the entries that would allow it."""

        def read() -> tuple[tuple[Attempt, ...], tuple[str, ...]]:
            found = visible_server(principal, server)
            denied = store.attempts(found.id, allowed=False)
            return denied, proposals(denied, store.counting(found.id)[0])

        return await self._database.run(read)

    async def used(
        self, principal: Principal, server: int | str
    ) -> tuple[Attempt, ...]:
        """Return where a server went, the latest first."""
        return await self._database.run(
            lambda: store.attempts(visible_server(principal, server).id, allowed=True)
        )

    async def set(
        self, principal: Principal, server: int | str, policy: EgressPolicy | None
    ) -> ServerEgress:
        """Choose where a server may go; ``None``: as servers of its kind of source get it.

        Raises:
            InvalidError: The policy is wrong, or the server is somebody else's to run.
            ForbiddenError: It allows private addresses, and they are no administrator.
        """
        view = await self._servers.get(principal, server)
        if isinstance(view.server.source, RemoteSource):
            raise InvalidError.field(
                "egress", "a remote server runs elsewhere, and goes where it likes"
            )
        config = replace(view.server.config, egress=policy)
        await self._servers.configure(
            principal, view.server.id, config, action="server.egress"
        )
        await self._until_applied()
        return await self.view(principal, view.server.id)

    async def _until_applied(self) -> None:
        """Wait a moment for the egress process, so that who is answered finds it so."""
        moment = await self._database.run(store.moment)
        for _ in range(LOOKS):
            if await self._database.run(store.is_applied, moment):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def allow(
        self,
        principal: Principal,
        server: int | str,
        hosts: Sequence[str],
        *,
        private: bool = False,
    ) -> ServerEgress:
        """Add ``host:port`` entries to what a server may reach; the rest stays.

        Args:
            hosts: None: everything that was proposed.
            private: Whether they may lead to private addresses.
        """
        now = await self.view(principal, server)
        if not hosts:
            hosts = (await self.denied(principal, server))[1]
        chosen = without(now.policy, now.services)
        mode = chosen.mode
        policy = replace(
            chosen,
            mode=EgressMode.ALLOW_LIST if mode is EgressMode.NONE else mode,
            hosts=tuple(dict.fromkeys((*chosen.hosts, *hosts))),
            private=tuple(
                dict.fromkeys((*chosen.private, *(hosts if private else ())))
            ),
        )
        return await self.set(principal, server, policy)

    async def forget(self, principal: Principal, server: int | str) -> None:
        """Empty the list of what a server was denied."""

        def write() -> None:
            found = writable_server(principal, server)
            gone = store.forget_denied(found.id)
            record_write(principal, "server.egress_forget", found, {"lines": gone})

        await self._database.run(write)


def without(policy: EgressPolicy, services: Sequence[str]) -> EgressPolicy:
    """Return a policy as somebody would have chosen it: what services need is added anyway."""
    return replace(
        policy,
        hosts=tuple(host for host in policy.hosts if host not in services),
        private=tuple(host for host in policy.private if host not in services),
    )


def _view(server: Server) -> ServerEgress:
    policy, declared = store.counting(server.id)
    return ServerEgress(
        policy=policy,
        is_chosen=server.config.egress is not None,
        declared=declared,
        services=store.services_of(server.id),
        enforcement=store.enforcement(),
    )
