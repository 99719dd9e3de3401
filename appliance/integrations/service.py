"""What people do with the services of a server."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from appliance.accounts.model import Principal, Role
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.integrations import store
from appliance.integrations.doors import address_of
from appliance.integrations.errors import (
    ProbeFailedError,
    ServiceElsewhereError,
    ServiceInvalidError,
    VariableTakenError,
)
from appliance.integrations.kinds import KINDS
from appliance.integrations.model import (
    Outcome,
    Service,
    ServiceKind,
    Target,
    Variables,
    Wanted,
)
from appliance.integrations.probes import Asked, Probe, custom, postgres, redis, s3
from appliance.integrations.wishes import checked, kept_as, variables_of
from appliance.observability import audit
from appliance.secrets.keeping import SecretKeeper

#: Tells whose services they are; runs inside ``database.run``, and refuses whoever may not see or change the server.
Find = Callable[[Principal, int | str], Target]
#: Seconds that a test may take, name and all.
TEST_S = 10.0
#: Shorter secrets stand in ordinary words, too.
SHORTEST = 4
PROBES: dict[ServiceKind, Probe] = {
    ServiceKind.REDIS: redis.probe,
    ServiceKind.POSTGRES: postgres.probe,
    ServiceKind.S3: s3.probe,
    ServiceKind.CUSTOM: custom.probe,
}


@dataclass(frozen=True)
class Surroundings:
    """What this room asks of others; functions that run inside ``database.run`` unless they are awaited."""

    seen: Find
    changed: Find
    #: Has a server start anew with what is new, by whom and why.
    restart: Callable[[int, str, str], bool]
    #: Brings up to date where a server may go.
    open_ways: Callable[[int], None]
    #: Has hidden in what a server prints what is secret now.
    hide: Callable[[int], Awaitable[None]]
    #: Where hosted servers are, as networks.
    server_networks: tuple[str, ...]


class IntegrationService:
    """Adds, changes, tests and removes services on behalf of a principal."""

    def __init__(
        self, database: Database, keeper: SecretKeeper, around: Surroundings
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._keeper = keeper
        self._around = around

    # -- looking

    async def list(self, principal: Principal, server: int | str) -> list[Service]:
        """Return a server's services by name; never with their secrets."""
        return await self._database.run(
            lambda: store.of_server(self._around.seen(principal, server).server_id)
        )

    async def get(
        self, principal: Principal, server: int | str, service_id: int
    ) -> Service:
        """Return one service."""
        return await self._database.run(
            lambda: store.get(
                self._around.seen(principal, server).server_id, service_id
            )
        )

    # -- changing

    async def add(
        self, principal: Principal, server: int | str, wanted: Wanted
    ) -> Service:
        """Add a service; the server starts anew with its variables, and may go where it is.

        Raises:
            ServiceInvalidError: Something is wrong; every field is named.
            VariableTakenError: Something else sets one of its variables.
        """
        wanted = checked(wanted)
        variables = variables_of(wanted)

        def write() -> Service:
            target = self._writable(principal, server)
            _refuse_taken(target, variables, store.of_server(target.server_id))
            added = store.add(target.server_id, wanted, variables, by=principal.name)
            self._put(added, variables, principal)
            self._follow(principal, target, "services.add", added)
            return added

        return await self._written(write)

    async def change(
        self, principal: Principal, server: int | str, service_id: int, wanted: Wanted
    ) -> Service:
        """Replace what a service is; secrets that are not given stay as they were.

        Raises:
            ServiceInvalidError: Something is wrong, or it is of another kind.
            VariableTakenError: Something else sets one of its variables.
        """

        def write() -> Service:
            target = self._writable(principal, server)
            before = store.get(target.server_id, service_id)
            if wanted.kind is not before.kind:
                raise ServiceInvalidError.field(
                    "kind", f"it is {before.kind.value}; add another one instead"
                )
            whole = checked(replace(wanted, secrets=self._all_secrets(before, wanted)))
            variables = variables_of(whole)
            others = [
                item
                for item in store.of_server(target.server_id)
                if item.id != before.id
            ]
            _refuse_taken(target, variables, others)
            self._take_away(before, but=variables.secret)
            store.change(before, whole, variables, by=principal.name)
            self._put(before, variables, principal)
            changed = store.get(target.server_id, service_id)
            self._follow(principal, target, "services.change", changed)
            return changed

        return await self._written(write)

    async def remove(
        self, principal: Principal, server: int | str, service_id: int
    ) -> None:
        """Forget a service, its variables and the way to it."""

        def write() -> Service:
            target = self._writable(principal, server)
            found = store.get(target.server_id, service_id)
            self._take_away(found, but=())
            store.remove(found)
            self._follow(principal, target, "services.remove", found)
            return found

        await self._written(write)

    # -- testing

    async def test(
        self, principal: Principal, server: int | str, service_id: int
    ) -> Outcome:
        """Connect as the server would, from the hub, and return what came of it: a service that does not answer is an answer.

        Raises:
            AddressForbiddenError: The hub does not connect there for this person.
            ServiceInvalidError: Nobody said where it listens.
        """

        def read() -> tuple[Target, Service, dict[str, str]]:
            target = self._around.changed(principal, server)
            found = store.get(target.server_id, service_id)
            return target, found, self._secrets_of(found)

        target, service, secrets = await self._database.run(read)
        is_admin = principal.role is Role.ADMIN
        started = time.perf_counter()
        try:
            detail, is_ok = await self._probe(service, secrets, is_admin=is_admin), True
        except ProbeFailedError as error:
            detail, is_ok = error.reason, False
        taken_ms = (time.perf_counter() - started) * 1000
        outcome = Outcome(is_ok, _without(detail, secrets), taken_ms, now())

        def keep() -> None:
            store.set_outcome(service.id, outcome)
            said = {"ok": outcome.is_ok}
            _record(principal, target, "services.test", service, **said)

        await self._database.run(keep)
        return outcome

    async def _probe(
        self, service: Service, secrets: dict[str, str], *, is_admin: bool
    ) -> str:
        places = KINDS[service.kind].destinations(service.settings)
        if not places:
            raise ServiceInvalidError.field(
                "host", "say where it listens, and it can be tested"
            )
        try:
            async with asyncio.timeout(TEST_S):
                # The last one is where requests go: a bucket may have a name of its own.
                address = await address_of(
                    places[-1],
                    server_networks=self._around.server_networks,
                    is_admin=is_admin,
                )
                asked = Asked(service.settings, secrets, places[-1], address)
                return await PROBES[service.kind](asked)
        except TimeoutError as error:
            raise ProbeFailedError(
                f"{places[-1]} did not answer within {TEST_S:g} seconds.",
                hint="Does a firewall stand between?",
            ) from error

    # -- inside ``database.run``

    def _writable(self, principal: Principal, server: int | str) -> Target:
        target = self._around.changed(principal, server)
        if target.is_remote:
            raise ServiceElsewhereError(
                f"{target.server_name} runs elsewhere; nothing can be put into its environment."
            )
        return target

    def _put(
        self, service: Service, variables: Variables, principal: Principal
    ) -> None:
        for name, value in variables.secret.items():
            self._keeper.put(
                service.server_id,
                name,
                value,
                by=principal.name,
                managed_by=service.manager,
            )

    def _take_away(self, service: Service, *, but: Iterable[str]) -> None:
        for name in set(service.secret_names) - set(but):
            self._keeper.remove(service.server_id, name, managed_by=service.manager)

    def _all_secrets(self, before: Service, wanted: Wanted) -> dict[str, str]:
        """Return the secrets that are given, and of those that are not what they were."""
        known = self._secrets_of(before)
        fields = KINDS[wanted.kind].kept(KINDS[wanted.kind].settings(wanted.settings))
        kept = {name: known[name] for name in fields if name in known}
        return {**kept, **wanted.secrets}

    def _secrets_of(self, service: Service) -> dict[str, str]:
        wanted = Wanted(service.kind, service.name, service.prefix, service.settings)
        return {
            field: self._keeper.read(service.server_id, name)
            for field, name in kept_as(wanted).items()
            if name in service.secret_names
        }

    def _follow(
        self, principal: Principal, target: Target, action: str, service: Service
    ) -> None:
        """Do what follows from every change."""
        self._around.open_ways(target.server_id)
        self._around.restart(
            target.server_id, principal.name, f"Its service {service.name} changed."
        )
        _record(principal, target, action, service, variables=list(service.names))

    async def _written(self, write: Callable[[], Service]) -> Service:
        done = await self._database.run(write)
        await self._around.hide(done.server_id)
        return done


def _refuse_taken(
    target: Target, variables: Variables, others: Iterable[Service]
) -> None:
    """Refuse variables that something else sets."""
    names = {*variables.plain, *variables.secret}
    for name in sorted(names & target.environment):
        raise VariableTakenError(
            f"The server's configuration sets {name} already.",
            hint="Remove it there, or give the service a prefix.",
        )
    for other in others:
        for name in sorted(names & {*other.names}):
            raise VariableTakenError(
                f"The service {other.name} sets {name} already.",
                hint="Give one of them a prefix, such as CACHE_.",
            )


def _record(
    principal: Principal, target: Target, action: str, service: Service, **details: Any
) -> None:
    audit.record(
        principal,
        action,
        object_type="server",
        object_id=target.server_id,
        object_name=target.server_name,
        details={"service": service.name, "kind": service.kind.value, **details},
    )


def _without(text: str, secrets: dict[str, str]) -> str:
    """Return what a stranger said, without what it was told."""
    for value in secrets.values():
        if len(value) >= SHORTEST:
            text = text.replace(value, "[redacted]")
    return text
