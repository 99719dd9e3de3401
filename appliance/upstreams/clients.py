"""What this box is to the authorization servers of others."""

from appliance.infra.database import Database
from appliance.upstreams import store
from appliance.upstreams.asking import (
    client_without_asking,
    given_method,
    registered,
    registration,
)
from appliance.upstreams.errors import NoClientError
from appliance.upstreams.fetching import Asker
from appliance.upstreams.keeping import GIVEN_CLIENT, TokenKeeper, registered_client
from appliance.upstreams.model import (
    AuthMethod,
    AuthorizationServer,
    Client,
    ClientKind,
    Place,
    UpstreamServer,
)

_CREATED = range(200, 300)


class Clients:
    """Finds, or makes, the client with which to sign in at a server."""

    def __init__(self, database: Database, asker: Asker, tokens: TokenKeeper) -> None:
        """Keep the parts."""
        self._database = database
        self._asker = asker
        self._tokens = tokens

    async def client(
        self, upstream: UpstreamServer, server: AuthorizationServer, place: Place
    ) -> Client:
        """Return the client: the one that somebody gave, else our document, else one that is registered now or was before.

        Raises:
            NoClientError: There is no way to become one.
            UpstreamAwayError: The authorization server does not answer.
        """
        given = await self._database.run(self._given, upstream, server)
        found = client_without_asking(server, place, given=given)
        if found is None:
            found = await self._database.run(
                self._known, upstream.server_id, server.issuer, place.redirect_uri
            )
        if found is None:
            found = await self._register(upstream.server_id, server, place)
        return found

    async def forget(self, server_id: int, issuer: str, redirect_uri: str) -> None:
        """Forget a registration that the other side has forgotten, too."""
        await self._database.run(store.forget_client, server_id, issuer, redirect_uri)

    def with_secret(self, server_id: int, issuer: str, client: Client) -> Client:
        """Return a client with its secret; runs inside ``database.run``."""
        if client.auth_method is AuthMethod.NONE:
            return client
        name = GIVEN_CLIENT
        if client.kind is ClientKind.REGISTERED:
            number = store.client_called(server_id, issuer, client.client_id)
            name = registered_client(number or 0)
        secret = self._tokens.client_secret(server_id, name)
        return Client(client.kind, client.client_id, client.auth_method, secret)

    async def _register(
        self, server_id: int, server: AuthorizationServer, place: Place
    ) -> Client:
        asked = registration(server, place)
        answer = await self._asker.send(server.registration_endpoint, asked)
        if answer.status not in _CREATED:
            raise NoClientError(
                f"{server.issuer} refused to register this box ({answer.status}).",
                hint="Register a client there by hand, and give its client id on the server's page Account.",
            )
        client = registered(answer.content, server)

        def write() -> None:
            number = store.put_client(
                server_id,
                server.issuer,
                place.redirect_uri,
                client_id=client.client_id,
                auth_method=client.auth_method.value,
                has_secret=client.secret is not None,
            )
            if client.secret is not None:
                secret = client.secret.get_secret_value()
                self._tokens.seal_client(server_id, registered_client(number), secret)

        await self._database.run(write)
        return client

    def _given(
        self, upstream: UpstreamServer, server: AuthorizationServer
    ) -> Client | None:
        if not upstream.client_id:
            return None
        # An id and a secret are for the one authorization server that gave them.
        if server.issuer != upstream.issuer:
            raise NoClientError(
                f"The client id that was given is of {upstream.issuer}, and the server sends people to {server.issuer} now.",
                hint="Give one of that authorization server, or none.",
            )
        method = given_method(server, has_secret=upstream.has_secret)
        secret = self._tokens.client_secret(upstream.server_id, GIVEN_CLIENT)
        return Client(ClientKind.GIVEN, upstream.client_id, method, secret)

    def _known(self, server_id: int, issuer: str, redirect_uri: str) -> Client | None:
        found = store.client(server_id, issuer, redirect_uri)
        if found is None:
            return None
        number, client_id, method, has_secret = found
        secret = (
            self._tokens.client_secret(server_id, registered_client(number))
            if has_secret
            else None
        )
        if has_secret and secret is None:
            return None
        return Client(ClientKind.REGISTERED, client_id, AuthMethod(method), secret)
