"""Tokens that end are renewed: once, whoever asks, and written down before anybody uses them."""

import asyncio

import structlog

from appliance.accounts.model import SYSTEM
from appliance.core.errors import DomainError
from appliance.core.upstreams import SHARED, Wish
from appliance.infra.database import Database
from appliance.observability import audit
from appliance.upstreams import store
from appliance.upstreams.asking import refresh_form, token_request, tokens_in
from appliance.upstreams.clients import Clients
from appliance.upstreams.errors import TokenRefusedError
from appliance.upstreams.fetching import Asker
from appliance.upstreams.keeping import KeptTokens, TokenKeeper, ends_at
from appliance.upstreams.model import Connection, ConnectionState, Tokens
from appliance.upstreams.plans import client_of

log = structlog.get_logger("upstreams.renewing")

_PERSON = "user:"
_MAX_SCOPE = 1000


class Renewing:
    """Does what the gateway wishes."""

    def __init__(
        self, database: Database, asker: Asker, clients: Clients, tokens: TokenKeeper
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._asker = asker
        self._clients = clients
        self._tokens = tokens

    async def fulfil(self, wish: Wish) -> None:
        """Renew an account's token, or note which scopes it lacks."""
        user_id = _user_of(wish.account)
        if user_id == 0:
            return
        if wish.scope:
            await self._database.run(
                store.want_scopes,
                wish.server_id,
                user_id,
                wish.serial,
                wish.scope[:_MAX_SCOPE],
            )
            return
        claimed = await self._database.run(
            store.claim, wish.server_id, user_id, wish.serial
        )
        if claimed is None:
            await self._hand_over_again(wish, user_id)
            return
        await self._renew(claimed)

    async def _hand_over_again(self, wish: Wish, user_id: int | None) -> None:
        """Give the gateway what it does not seem to have; who renews it just now does that by themselves."""

        def read() -> tuple[Connection, KeptTokens | None] | None:
            found = store.connection_of(wish.server_id, user_id)
            return None if found is None else (found, self._tokens.opened(found))

        found = await self._database.run(read)
        if found is None:
            return
        connection, kept = found
        is_newer = connection.serial > wish.serial
        if connection.state is ConnectionState.GOOD and is_newer and kept is not None:
            await asyncio.to_thread(self._tokens.hand_over, connection, kept.access)

    async def _renew(self, connection: Connection) -> None:
        kept: KeptTokens | None = None
        try:
            kept = await self._database.run(self._tokens.opened, connection)
            if kept is None or kept.refresh is None:
                await self._end(connection, "It ended, and cannot be renewed.")
                return
            tokens = await self._ask(connection, kept)
        except TokenRefusedError as error:
            if error.is_final:
                await self._end(connection, error.reason)
            else:
                await self._put_off(connection, kept, error.reason)
        except DomainError as error:
            await self._put_off(connection, kept, error.reason)
        else:
            await self._keep(connection, tokens)

    async def _ask(self, connection: Connection, kept: KeptTokens) -> Tokens:
        terms = dict(connection.terms)
        client = await self._database.run(
            self._clients.with_secret,
            connection.server_id,
            connection.issuer,
            client_of(terms),
        )
        assert kept.refresh is not None  # noqa: S101 - who calls has looked
        form, headers = token_request(
            client,
            refresh_form(kept.refresh.get_secret_value(), resource=terms["resource"]),
        )
        answer = await self._asker.submit(terms["token_endpoint"], form, headers)
        return tokens_in(answer.status, answer.content)

    async def _keep(self, before: Connection, tokens: Tokens) -> None:
        """Write the next tokens down, then let the gateway use them: the one before may be worth nothing any more."""
        scopes = None if tokens.scopes is None else " ".join(tokens.scopes)

        def write() -> Connection | None:
            if not store.renewed(before, scopes=scopes, expires_at=ends_at(tokens)):
                return None
            self._tokens.seal(before, before.serial + 1, tokens)
            return store.connection(before.id)

        after = await self._database.run(write)
        if after is not None:
            await asyncio.to_thread(self._tokens.hand_over, after, tokens.access)
            log.info("connection_renewed", connection_id=after.id, serial=after.serial)

    async def _put_off(
        self, before: Connection, kept: KeptTokens | None, reason: str
    ) -> None:
        after = await self._database.run(store.not_renewed, before, reason)
        if after is not None and kept is not None:
            await asyncio.to_thread(self._tokens.hand_over, after, kept.access)
        log.warning("connection_not_renewed", connection_id=before.id, reason=reason)

    async def _end(self, before: Connection, reason: str) -> None:
        def write() -> bool:
            is_same = store.ended(before, reason)
            if is_same:
                self._tokens.forget(before)
                audit.record(
                    SYSTEM,
                    "connection.end",
                    object_type="server",
                    object_id=before.server_id,
                    object_name=before.server_name,
                    details={"account": before.account, "why": reason},
                )
            return is_same

        if await self._database.run(write):
            await asyncio.to_thread(self._tokens.take_back, before)


def _user_of(account: str) -> int | None:
    """Return whose account it is; ``None``: everybody's; 0: nobody's."""
    if account == SHARED:
        return None
    number = account.removeprefix(_PERSON)
    is_person = account.startswith(_PERSON) and number.isascii() and number.isdigit()
    return int(number) if is_person else 0
