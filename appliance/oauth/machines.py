"""Clients that people make: for programs without people, which act as their makers, and for apps that people sign in with."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from appliance.accounts.access import require_administer
from appliance.accounts.model import Principal, Role
from appliance.accounts.persons import person_of
from appliance.core.clock import now
from appliance.core.errors import ForbiddenError, InvalidError
from appliance.core.ids import key_hash, new_key
from appliance.core.oauth import SCOPES
from appliance.infra.database import Database
from appliance.oauth import client_store, grant_store, redirects
from appliance.oauth.clients import SECRET_PREFIX
from appliance.oauth.documents import GRANTS, MAX_NAME, clean_name
from appliance.oauth.errors import (
    ClientNotFoundError,
    ClientWithoutSecretError,
    OAuthError,
    TooManyClientsError,
)
from appliance.oauth.model import AuthMethod, Client, ClientKind
from appliance.observability import audit

MAX_OF_ONE = 50
#: A secret that was exchanged goes on so long, unless it must not at all.
OVERLAP = timedelta(hours=24)


class MachinesNotForReadersError(ForbiddenError):
    """Readers look and do not call, and neither does what they make."""

    code = "oauth_reader"


@dataclass(frozen=True)
class NewClient:
    """A client that somebody wants."""

    #: What it is for.
    name: str
    #: The most it may have; empty: everything.
    scope: tuple[str, ...] = ()
    #: Where it may send people back to; empty: it runs without people.
    redirect_uris: tuple[str, ...] = ()
    #: Whether it runs where a secret would not stay one, so that it gets none.
    is_public: bool = False


class Machines:
    """Makes clients for people and keeps them."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def list(
        self, principal: Principal, *, everybody: bool = False
    ) -> list[Client]:
        """Return the clients that the principal made, by name.

        Args:
            principal: Who asks.
            everybody: For administrators: anybody's.
        """
        user_id = None if everybody and principal.is_admin else _maker(principal)
        return await self._database.run(client_store.made, user_id)

    async def create(
        self, principal: Principal, wanted: NewClient
    ) -> tuple[Client, str]:
        """Return a new client, and its secret, which is shown this once; empty: it has none.

        Raises:
            InvalidError: A field is not right.
            NotAllowedError: It shall send people somewhere, and who makes it is no administrator.
            TooManyClientsError: There are too many.
        """
        user_id = _maker(principal)
        if wanted.redirect_uris:
            # Whoever is asked to allow it is told that the box vouches for its name.
            require_administer(principal)
        secret = "" if wanted.is_public else new_key(SECRET_PREFIX)
        client = _client_of(wanted, user_id, secret)

        def write() -> Client:
            if len(client_store.made(user_id)) >= MAX_OF_ONE:
                raise TooManyClientsError(
                    f"You made {MAX_OF_ONE} clients; delete one first."
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
            ClientWithoutSecretError: It shows itself without one.
        """
        secret = new_key(SECRET_PREFIX)
        until = now() + (timedelta(0) if at_once else OVERLAP)

        def write() -> None:
            client = _owned(principal, client_id)
            if client.auth_method is AuthMethod.NONE:
                raise ClientWithoutSecretError("This client has no secret.")
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


def _client_of(wanted: NewClient, user_id: int, secret: str) -> Client:
    """Return the client that is wanted.

    Raises:
        InvalidError: A field is not right.
    """
    name = clean_name(wanted.name)
    if not name or len(wanted.name) > MAX_NAME:
        raise InvalidError.field("name", f"use 1 to {MAX_NAME} characters, such as nightly-report")  # fmt: skip
    if any(item not in SCOPES for item in wanted.scope):
        raise InvalidError.field("scope", f"use {' or '.join(SCOPES)}")
    if wanted.is_public and not wanted.redirect_uris:
        raise InvalidError.field("public", "a program that runs without people needs a secret")  # fmt: skip
    redirect_uris = _redirect_uris(wanted.redirect_uris)
    kind = ClientKind.MADE if redirect_uris else ClientKind.MACHINE
    return Client(
        client_id=f"{kind.value}-{secrets.token_hex(8)}",
        kind=kind,
        name=name,
        redirect_uris=redirect_uris,
        grant_types=GRANTS if redirect_uris else ("client_credentials",),
        auth_method=AuthMethod.BASIC if secret else AuthMethod.NONE,
        secret_hash=key_hash(secret) if secret else None,
        scope=wanted.scope,
        user_id=user_id,
    )


def _redirect_uris(wanted: tuple[str, ...]) -> tuple[str, ...]:
    if len(wanted) > redirects.MAX_URIS:
        raise InvalidError.field("redirect_uris", f"use at most {redirects.MAX_URIS}")
    try:
        return tuple(dict.fromkeys(redirects.checked(uri) for uri in wanted))
    except OAuthError as error:
        raise InvalidError.field("redirect_uris", error.detail) from error


def _owned(principal: Principal, client_id: str) -> Client:
    client = client_store.find(client_id)
    is_theirs = client is not None and (
        principal.is_admin or client.user_id == principal.user_id
    )
    if client is None or client.user_id is None or not is_theirs:
        raise ClientNotFoundError(f"There is no client {client_id} of yours.")
    return client


def _maker(principal: Principal) -> int:
    if principal.role is Role.READER:
        raise MachinesNotForReadersError("Readers call no servers, and make no clients.")  # fmt: skip
    return person_of(principal)


def _audit(principal: Principal, action: str, client: Client) -> None:
    audit.record(
        principal,
        action,
        object_type="oauth_client",
        object_name=client.name,
        details={"client_id": client.client_id, "kind": client.kind.value},
    )
