"""The gateway as a resource server of OAuth 2.1: whose tokens are taken, for what, and where clients are sent for one."""

from collections.abc import Mapping
from typing import Any, Final

from appliance.core.oauth import (
    AUTHORIZATION_SERVER,
    OPENID_CONFIGURATION,
    PROTECTED_RESOURCE,
    SCOPES,
    Endpoint,
    Resource,
    authorization_server,
    endpoint_of,
    is_domain_endpoint,
    issuer_of,
    origin_of,
)
from appliance.gateway.config import OAuthConfig
from appliance.gateway.edge.address import Address, Addresses
from appliance.gateway.edge.claims import Token, TokenError, UnknownSignerError
from appliance.gateway.edge.keys import Admission, BadToken, Denial, may_call
from appliance.gateway.edge.places import Place
from appliance.gateway.edge.tokens import Tokens
from appliance.gateway.routes import RoutingTable
from appliance.gateway.trust import Trust

_DOMAIN_ENDPOINT: Final = "/mcp"
#: Where clients look that insert no path.
_ROOTS: Final = frozenset({"", "/"})
_SERVER_PATHS: Final = (AUTHORIZATION_SERVER, OPENID_CONFIGURATION)


class Authority:
    """Knows the authorization server, and what its tokens open.

    Args:
        config: What the settings say of it.
        addresses: Tells under which name the gateway was reached.
    """

    def __init__(self, config: OAuthConfig, addresses: Addresses) -> None:
        """Know no token yet."""
        self._config = config
        self._addresses = addresses
        self._tokens = Tokens(config.issuer, config.user_claim)
        #: Of ours, to the issuer's own.
        self._names = dict(zip(SCOPES, config.scopes, strict=False))

    # -- tokens

    def admit(
        self,
        shown: str,
        place: Place,
        *,
        headers: Mapping[str, str],
        table: RoutingTable,
        at: float,
    ) -> Admission | Denial | BadToken:
        """Decide whether an access token opens an endpoint.

        Args:
            shown: The token.
            place: The endpoint.
            headers: Of the request: tokens are for the name under which the gateway was reached.
            table: The routes, people and keys of now.
            at: Seconds since the epoch.
        """
        address = self._addresses.of(headers)
        try:
            token = self._tokens.read(shown, table.trust, at)
            self._check_purpose(token, place, address)
            user_id = _holder(token, table.trust)
        except UnknownSignerError as error:
            return BadToken(str(error), error.kid)
        except TokenError as error:
            return BadToken(str(error))
        route = (table.bundles if place.is_bundle else table.routes).get(place.name)
        if route is None or not may_call(table, user_id, route):
            return Denial.NOT_FOUND
        return Admission(
            route,
            token.principal or f"user:{user_id}",
            token_of=token.client_id or "token",
            token_expires_at=token.expires_at,
            lacking=self._lacking(token),
        )

    def _check_purpose(self, token: Token, place: Place, address: Address) -> None:
        """Look whether a token is of our issuer, and for this endpoint."""
        if not token.key.issuer and token.issuer != self._issuer(address):
            raise TokenError("it is of another issuer")
        if token.key.issuer and self._config.audience:
            if self._config.audience not in token.audiences:
                raise TokenError("it is for something else")
            return
        if address.domain:
            own = Resource(
                origin_of(address.origin), Endpoint("domains", address.domain)
            )
            if own not in token.resources:
                raise TokenError("it is for another endpoint")
            return
        endpoint = Endpoint("bundles" if place.is_bundle else "servers", place.name)
        origins = {self._addresses.public_origin}
        # Under a name that is not ours another box's token would be good here. The built-in server gives out none for such
        # names, so a box that was told none of its own may go by any.
        is_free = not token.key.issuer and not self._addresses.is_told
        if address.is_own or is_free:
            origins.add(origin_of(address.origin))
        if not any(
            Resource(origin, endpoint) in token.resources for origin in origins - {""}
        ):
            raise TokenError("it is for another endpoint")

    def _lacking(self, token: Token) -> frozenset[str]:
        if not self._names:
            return frozenset()
        # Some issuers leave out the resource before the name of its scope.
        shown = token.scopes | {scope.rpartition("/")[2] for scope in token.scopes}
        return frozenset(
            ours
            for ours, name in self._names.items()
            if name not in shown and name.rpartition("/")[2] not in shown
        )

    # -- where clients find a token

    def challenge(
        self,
        headers: Mapping[str, str],
        path: str,
        *,
        error: str = "",
        description: str = "",
        scopes: tuple[str, ...] = SCOPES,
    ) -> str:
        """Return ``WWW-Authenticate`` (RFC 6750, RFC 9728).

        Args:
            headers: Of the request.
            path: That it names; an endpoint's.
            error: ``invalid_token``, ``insufficient_scope``; empty: nothing was shown.
            description: For people.
            scopes: That are needed.
        """
        address = self._addresses.of(headers)
        fields = {
            "realm": "mcp-host",
            "error": error,
            "error_description": description,
            "resource_metadata": f"{address.origin}{PROTECTED_RESOURCE}{_typed(path)}",
            "scope": " ".join(
                self._names[item] for item in scopes if item in self._names
            ),
        }
        shown = (f'{name}="{value}"' for name, value in fields.items() if value)
        return f"Bearer {', '.join(shown)}"

    def document(
        self, path: str, headers: Mapping[str, str], table: RoutingTable | None
    ) -> dict[str, Any] | None:
        """Return the metadata at a path; ``None``: there is none.

        The same for every name of a server, whether somebody uses it or not.
        """
        address = self._addresses.of(headers)
        if path.startswith(PROTECTED_RESOURCE):
            suffix = path.removeprefix(PROTECTED_RESOURCE)
            if address.domain and suffix in _ROOTS:
                suffix = _DOMAIN_ENDPOINT
            is_one = _is_endpoint(suffix, is_domain=bool(address.domain))
            return self._resource(address, suffix) if is_one else None
        if not _asks_for_server(path, is_domain=bool(address.domain)):
            return None
        if self._config.issuer:
            return (
                None if table is None else table.trust.issuers.get(self._config.issuer)
            )
        return authorization_server(
            self._issuer(address), registers=self._config.registers
        )

    def _resource(self, address: Address, path: str) -> dict[str, Any]:
        document: dict[str, Any] = {
            "resource": f"{address.origin}{path}",
            "authorization_servers": [self._issuer(address)],
            "bearer_methods_supported": ["header"],
        }
        if self._names:
            document["scopes_supported"] = list(self._names.values())
        return document

    def _issuer(self, address: Address) -> str:
        config = self._config
        return config.issuer or issuer_of(
            config.public_url, address.scheme, address.host, config.hub_port
        )


def concerns(path: str, *, is_domain: bool = False) -> bool:
    """Whether metadata is looked for at ``path``; ``is_domain``: of a name that leads to one server alone."""
    return path.startswith(PROTECTED_RESOURCE) or _asks_for_server(
        path, is_domain=is_domain
    )


def _is_endpoint(path: str, *, is_domain: bool) -> bool:
    return is_domain_endpoint(path) if is_domain else endpoint_of(path) is not None


def _asks_for_server(path: str, *, is_domain: bool) -> bool:
    """Whether the authorization server's metadata is looked for here, in one of the ways in which clients do."""
    for well_known in _SERVER_PATHS:
        if path == well_known:
            return True
        inserted = path.removeprefix(well_known)
        if inserted != path and _is_endpoint(inserted, is_domain=is_domain):
            return True
        appended = path.removesuffix(well_known)
        if appended != path and _is_endpoint(appended, is_domain=is_domain):
            return True
    return False


def _typed(path: str) -> str:
    """Return the path that the client was given: it posts beside the stream that it was told of."""
    base, _, door = path.rpartition("/")
    return f"{base}/sse" if door == "messages" else path


def _holder(token: Token, trust: Trust) -> int:
    """Return whose access counts.

    Raises:
        TokenError: The grant was revoked, or nobody here is meant.
    """
    if token.grant_id is not None and token.grant_id in trust.revoked_grants:
        raise TokenError("it was revoked")
    user_id = token.user_id or trust.addresses.get(token.email, 0)
    if not user_id:
        raise TokenError("nobody here has the address that it names")
    return user_id
