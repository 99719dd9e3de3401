"""Clients for programs that run without people: they act as whoever made them, at one endpoint at a time."""

import secrets
from datetime import timedelta

from appliance.accounts.model import Principal, Role
from appliance.core.clock import now
from appliance.core.errors import ForbiddenError, InvalidError
from appliance.core.ids import key_hash, new_key
from appliance.core.oauth import SCOPES
from appliance.infra.database import Database
from appliance.oauth import client_store, grant_store
from appliance.oauth.clients import SECRET_PREFIX
from appliance.oauth.documents import MAX_NAME, clean_name
from appliance.oauth.errors import ClientNotFoundError, TooManyClientsError
from appliance.oauth.model import AuthMethod, Client, ClientKind
from appliance.observability import audit

MAX_OF_ONE = 50
#: A secret that was exchanged goes on so long, unless it must not at all.
OVERLAP = timedelta(hours=24)


class MachinesNotForReadersError(ForbiddenError):
    """Readers look and do not call, and neither does what they make."""

    code = "oauth_reader"


class Machines:
    """Makes machine clients and keeps them."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def list(
        self, principal: Principal, *, everybody: bool = False
    ) -> list[Client]:
        """Return the principal's machine clients, by name.

        Args:
            principal: Who asks.
            everybody: For administrators: anybody's.
        """
        user_id = None if everybody and principal.is_admin else _maker(principal)
        return await self._database.run(client_store.machines, user_id)

    async def create(
        self, principal: Principal, name: str, *, scope: tuple[str, ...] = ()
    ) -> tuple[Client, str]:
        """Return a new client that acts as the principal, and its secret, which is shown this once.

        Args:
            principal: Who makes it.
            name: What it is for.
            scope: The most it may have; empty: everything.

        Raises:
            InvalidError: The name is empty or too long, or a scope is not known.
            TooManyClientsError: There are too many.
        """
        user_id = _maker(principal)
        if not clean_name(name) or len(name) > MAX_NAME:
            raise InvalidError.field("name", f"use 1 to {MAX_NAME} characters, such as nightly-report")  # fmt: skip
        if any(item not in SCOPES for item in scope):
            raise InvalidError.field("scope", f"use {' or '.join(SCOPES)}")
        secret = new_key(SECRET_PREFIX)
        client = Client(
            client_id=f"machine-{secrets.token_hex(8)}",
            kind=ClientKind.MACHINE,
            name=clean_name(name),
            grant_types=("client_credentials",),
            auth_method=AuthMethod.BASIC,
            secret_hash=key_hash(secret),
            scope=scope,
            user_id=user_id,
        )

        def write() -> Client:
            if len(client_store.machines(user_id)) >= MAX_OF_ONE:
                raise TooManyClientsError(
                    f"You have {MAX_OF_ONE} machine clients; delete one first."
                )
            added = client_store.add(client)
            _audit(principal, "oauth.create_client", added)
            return added

        return await self._database.run(write), secret

    async def rotate(
        self, principal: Principal, client_id: str, *, at_once: bool = False
    ) -> str:
        """Return a new secret of a client; the one before goes on for a day.

        Args:
            principal: Who asks.
            client_id: Of the client.
            at_once: The one before is refused from now on, because somebody may have seen it.

        Raises:
            ClientNotFoundError: The principal has no such client.
        """
        secret = new_key(SECRET_PREFIX)
        until = now() + (timedelta(0) if at_once else OVERLAP)

        def write() -> None:
            client = _owned(principal, client_id)
            client_store.exchange_secret(client_id, key_hash(secret), old_until=until)
            _audit(principal, "oauth.rotate_secret", client)

        await self._database.run(write)
        return secret

    async def delete(self, principal: Principal, client_id: str) -> None:
        """Delete a client; its tokens are refused within two seconds.

        Raises:
            ClientNotFoundError: The principal has no such client.
        """

        def write() -> None:
            client = _owned(principal, client_id)
            grant_store.revoke_of_client(client_id, f"deleted by {principal.name}")
            client_store.delete(client_id)
            _audit(principal, "oauth.delete_client", client)

        await self._database.run(write)


def _owned(principal: Principal, client_id: str) -> Client:
    client = client_store.find(client_id)
    is_theirs = client is not None and (
        principal.is_admin or client.user_id == principal.user_id
    )
    if client is None or client.kind is not ClientKind.MACHINE or not is_theirs:
        raise ClientNotFoundError(f"There is no machine client {client_id} of yours.")
    return client


def _maker(principal: Principal) -> int:
    if principal.user_id is None or principal.role is Role.READER:
        raise MachinesNotForReadersError("Readers call no servers, and make no machine clients.")  # fmt: skip
    return principal.user_id


def _audit(principal: Principal, action: str, client: Client) -> None:
    audit.record(
        principal,
        action,
        object_type="oauth_client",
        object_name=client.name,
        details={"client_id": client.client_id, "kind": client.kind.value},
    )
