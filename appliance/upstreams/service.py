"""Who is connected with which remote server, for those who may know and change it."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from pydantic import SecretStr

from appliance.accounts.model import Principal
from appliance.core.errors import DomainError
from appliance.core.upstreams import CHANNEL, Mode, Wish
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.observability import audit
from appliance.upstreams import store
from appliance.upstreams.asking import document, token_request
from appliance.upstreams.clients import Clients
from appliance.upstreams.connecting import Connecting
from appliance.upstreams.discovering import check_endpoints, discover
from appliance.upstreams.errors import (
    ConnectionNotFoundError,
    DiscoveryError,
    NoClientError,
    NoSigninError,
    SharedAccountError,
    UpstreamAwayError,
)
from appliance.upstreams.fetching import Asker
from appliance.upstreams.keeping import GIVEN_CLIENT, TokenKeeper
from appliance.upstreams.model import (
    AccountView,
    AuthMethod,
    Client,
    Connection,
    ConnectionState,
    Place,
    ServerFacts,
    UpstreamServer,
)
from appliance.upstreams.plans import client_of
from appliance.upstreams.renewing import Renewing

_REFUSED = 400
log = structlog.get_logger("upstreams")


class Standing(Protocol):
    """What somebody may do with a server; all run inside ``database.run``."""

    def seen(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may know of; raises what those are told who may not."""
        ...

    def called(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may call; raises as ``seen``, or that they may not."""
        ...

    def changed(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may change; raises as ``called``."""
        ...

    def owned(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server whose owner the principal is; raises as ``called``."""
        ...

    def may(self, principal: Principal, server: ServerFacts) -> tuple[bool, bool]:
        """Return whether the principal may call, and whether they may change it."""
        ...

    def facts(self, server_id: int) -> ServerFacts | None:
        """Return a server, whoever asks."""
        ...

    def touched(self, server_id: int) -> None:
        """Have a server looked at anew: whose account counts there has changed."""
        ...


@dataclass(frozen=True)
class Means:
    """What the service is made of."""

    asker: Asker
    clients: Clients
    tokens: TokenKeeper
    connecting: Connecting
    renewing: Renewing
    may_be_plain: bool


class UpstreamService:
    """Finds out who asks who calls, connects people, and does what the gateway wishes.

    Args:
        database: Where everything is.
        means: The parts.
        standing: Who may do what with servers.
    """

    def __init__(self, database: Database, means: Means, standing: Standing) -> None:
        """Keep the parts."""
        self._database = database
        self._means = means
        self._standing = standing
        self._working: set[asyncio.Task[None]] = set()

    # -- for those who look after servers

    async def recognise(self, server_id: int, challenge: str) -> bool:
        """Find out whether a server that answered 401 is one where people sign in; remember it if it is.

        Args:
            server_id: Its number.
            challenge: What it said in ``WWW-Authenticate``, as far as that is known.
        """
        server = await self._database.run(self._standing.facts, server_id)
        if server is None or not server.address:
            return False
        try:
            offer = await discover(self._means.asker, server.address, challenge)
            check_endpoints(offer.server, may_be_plain=self._means.may_be_plain)
        except (DiscoveryError, UpstreamAwayError) as error:
            log.info("signin_not_found", server_id=server_id, reason=error.reason)
            return False

        def write() -> None:
            if store.found(server_id, issuer=offer.server.issuer, challenge=challenge):
                self._standing.touched(server_id)

        await self._database.run(write)
        return True

    # -- for people

    async def mine(self, principal: Principal) -> list[Connection]:
        """Return the principal's own connections."""
        if principal.user_id is None:
            return []
        return await self._database.run(store.connections, principal.user_id)

    async def view(self, principal: Principal, server: int | str) -> AccountView | None:
        """Return how the principal stands at a server; ``None``: it asks nobody who they are.

        Raises:
            DomainError: They may not know of the server.
        """
        return await self._database.run(self._view, principal, server)

    async def begin(self, principal: Principal, server: int | str, place: Place) -> str:
        """Return where the principal has to go to connect the account that counts for them.

        Raises:
            NoSigninError: The server asks nobody who they are.
            SharedAccountError: Everybody's account counts, and it is not for them to connect.
            DomainError: As ``Connecting.begin``; or they may not call the server.
        """

        def read() -> tuple[ServerFacts, UpstreamServer]:
            facts = self._standing.called(principal, server)
            upstream = _upstream(facts)
            if principal.user_id is None:
                raise SharedAccountError("Only people connect accounts.")
            if upstream.mode is Mode.SHARED:
                self._standing.changed(principal, facts.id)
            return facts, upstream

        facts, upstream = await self._database.run(read)
        is_shared = upstream.mode is Mode.SHARED
        return await self._means.connecting.begin(
            principal,
            facts,
            upstream,
            place,
            user_id=None if is_shared else principal.user_id,
        )

    async def finish(
        self, principal: Principal, answer: Mapping[str, str]
    ) -> Connection:
        """Make a connection of what the principal came back with.

        Raises:
            DomainError: As ``Connecting.finish``.
        """
        made = await self._means.connecting.finish(principal, answer)
        await self._database.run(self._standing.touched, made.server_id)
        return made

    async def disconnect(self, principal: Principal, connection_id: int) -> None:
        """End a connection, here and, where that is offered, on the other side.

        Raises:
            ConnectionNotFoundError: It is none of theirs.
        """

        def write() -> tuple[Connection, list[str]]:
            found = self._theirs(principal, connection_id)
            kept = self._means.tokens.opened(found)
            self._means.tokens.forget(found)
            store.remove(found.id)
            _tell(principal, "connection.delete", found)
            self._standing.touched(found.server_id)
            secrets = [kept.refresh, kept.access] if kept else []
            return found, [item.get_secret_value() for item in secrets if item]

        gone, values = await self._database.run(write)
        await asyncio.to_thread(self._means.tokens.take_back, gone)
        await self._revoke(gone, values)

    # -- for those who may change a server

    async def set_mode(
        self, principal: Principal, server: int | str, mode: Mode
    ) -> None:
        """Say whose account calls of a server use; what was connected for the other way stays, and is not used.

        Raises:
            NoSigninError: It asks nobody who they are.
            DomainError: The principal does not own it.
        """

        def write() -> None:
            facts = self._standing.owned(principal, server)
            before = _upstream(facts)
            store.set_mode(facts.id, mode)
            audit.record(
                principal,
                "server.signin_mode",
                object_type="server",
                object_id=facts.id,
                object_name=facts.name,
                before={"mode": before.mode.value},
                after={"mode": mode.value},
            )
            self._standing.touched(facts.id)

        await self._database.run(write)

    async def set_client(
        self,
        principal: Principal,
        server: int | str,
        client_id: str,
        secret: SecretStr | None,
    ) -> None:
        """Say with which client to sign in at a server; an empty id: with none that somebody gave.

        Raises:
            NoSigninError: It asks nobody who they are.
            DomainError: The principal may not change it.
        """

        def write() -> None:
            facts = self._standing.changed(principal, server)
            before = _upstream(facts)
            shown = secret.get_secret_value() if secret and client_id else ""
            store.set_client(facts.id, client_id, has_secret=bool(shown))
            if shown:
                self._means.tokens.seal_client(facts.id, GIVEN_CLIENT, shown)
            else:
                self._means.tokens.forget_client(facts.id, GIVEN_CLIENT)
            audit.record(
                principal,
                "server.signin_client",
                object_type="server",
                object_id=facts.id,
                object_name=facts.name,
                before={"client_id": before.client_id},
                after={"client_id": client_id},
            )

        await self._database.run(write)

    @staticmethod
    def document(place: Place) -> dict[str, Any]:
        """Return how this box describes itself to authorization servers."""
        return document(place)

    # -- for the gateway

    async def watch(self) -> None:
        """Hand tokens over, and do what the gateway wishes, for ever."""
        async for channel, text in self._database.listen(CHANNEL):
            if not channel:
                await self._attempt(self.hand_over_all())
                continue
            with contextlib.suppress(ValueError):
                wish = Wish.from_json(text)
                task = asyncio.create_task(self._attempt(self._fulfil(wish)))
                self._working.add(task)
                task.add_done_callback(self._working.discard)

    async def hand_over_all(self) -> None:
        """Let the gateway use every connection that is good, and none that is not any more."""
        tokens = self._means.tokens
        found = await self._database.run(store.all_good)
        await asyncio.to_thread(tokens.keep_only, found)
        for connection in found:
            try:
                kept = await self._database.run(tokens.opened, connection)
                if kept is not None:
                    await asyncio.to_thread(tokens.hand_over, connection, kept.access)
            except DatabaseUnavailableError:
                raise
            except DomainError as error:
                log.warning(
                    "connection_not_handed_over",
                    connection_id=connection.id,
                    reason=error.reason,
                )

    async def sweep(self) -> None:
        """Take back what belongs to people and servers that are gone."""
        found = await self._database.run(store.all_good)
        await asyncio.to_thread(self._means.tokens.keep_only, found)

    async def _fulfil(self, wish: Wish) -> None:
        await self._means.renewing.fulfil(wish)

    @staticmethod
    async def _attempt(work: Any) -> None:
        try:
            await work
        except DomainError as error:
            log.warning("wish_not_fulfilled", reason=error.reason)

    # -- inside

    def _view(self, principal: Principal, server: int | str) -> AccountView | None:
        facts = self._standing.seen(principal, server)
        upstream = store.server(facts.id)
        if upstream is None:
            return None
        may_call, may_change = self._standing.may(principal, facts)
        is_shared = upstream.mode is Mode.SHARED
        user_id = None if is_shared else principal.user_id
        has_own = is_shared or principal.user_id is not None
        return AccountView(
            server=upstream,
            server_name=facts.name,
            connection=store.connection_of(facts.id, user_id) if has_own else None,
            may_connect=has_own and (may_change if is_shared else may_call),
            may_change=may_change,
            is_shareable=facts.org_id is not None,
        )

    def _theirs(self, principal: Principal, connection_id: int) -> Connection:
        missing = ConnectionNotFoundError(
            f"There is no connection {connection_id} of yours."
        )
        found = store.connection(connection_id)
        if found is None:
            raise missing
        if found.user_id is None:
            facts = self._standing.facts(found.server_id)
            if facts is None or not self._standing.may(principal, facts)[1]:
                raise missing
        elif found.user_id != principal.user_id:
            raise missing
        return found

    async def _revoke(self, gone: Connection, values: list[str]) -> None:
        """Have the other side forget tokens (RFC 7009), as far as it answers; here they are gone already."""
        terms = dict(gone.terms)
        if not terms["revocation_endpoint"]:
            return
        try:
            client = await self._database.run(
                self._means.clients.with_secret,
                gone.server_id,
                gone.issuer,
                client_of(terms),
            )
            for value in values:
                await self._revoke_one(terms["revocation_endpoint"], client, value)
        except (UpstreamAwayError, NoClientError) as error:
            log.info("token_not_revoked", connection_id=gone.id, reason=error.reason)

    async def _revoke_one(self, url: str, client: Client, token: str) -> None:
        form, headers = token_request(client, {"token": token})
        answer = await self._means.asker.submit(url, form, headers)
        if answer.status >= _REFUSED and client.auth_method is AuthMethod.BASIC:
            # Servers of the Python SDK want the secret in the form here, beside the header.
            in_form, _ = token_request(
                replace(client, auth_method=AuthMethod.POST), form
            )
            await self._means.asker.submit(url, in_form, headers)


def words(server_id: int) -> str:
    """Return why a server that runs serves not everybody at once; empty: it does. Runs inside ``database.run``."""
    upstream = store.server(server_id)
    if upstream is None:
        return ""
    if upstream.mode is Mode.EACH:
        return "Needs sign-in: each person connects their own account on the page Account before calling it."
    shared = store.connection_of(server_id, None)
    if shared is not None and shared.state is ConnectionState.GOOD:
        return ""
    return "Needs sign-in: connect the account that everybody uses on the page Account."


def _upstream(facts: ServerFacts) -> UpstreamServer:
    found = store.server(facts.id)
    if found is None:
        raise NoSigninError(f"{facts.name} asks nobody who they are.")
    return found


def _tell(principal: Principal, action: str, connection: Connection) -> None:
    audit.record(
        principal,
        action,
        object_type="server",
        object_id=connection.server_id,
        object_name=connection.server_name,
        details={"account": connection.account, "issuer": connection.issuer},
    )
