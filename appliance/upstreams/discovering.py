"""Finds out where to sign in at a remote server."""

from appliance.core.challenges import read_challenge
from appliance.upstreams.errors import DiscoveryError, UpstreamAwayError
from appliance.upstreams.fetching import Asker
from appliance.upstreams.metadata import (
    is_safe,
    read_resource,
    read_server,
    resource_places,
    server_places,
    without_metadata,
)
from appliance.upstreams.model import AuthorizationServer, Offer, Resource


async def discover(asker: Asker, endpoint: str, known_challenge: str) -> Offer:
    """Return how to sign in at the server behind ``endpoint``.

    Args:
        asker: Asks.
        endpoint: The server's address.
        known_challenge: What it said before; some servers open to anybody and ask only then.

    Raises:
        DiscoveryError: It does not say, or not rightly.
        UpstreamAwayError: Somebody does not answer, or may not be asked.
    """
    said = await asker.challenge(endpoint) or known_challenge
    challenge = read_challenge(said)
    resource = await _resource(asker, endpoint, said)
    server = await _server(asker, resource.issuer)
    return Offer(resource, server, challenge.scope if challenge else ())


async def _resource(asker: Asker, endpoint: str, said: str) -> Resource:
    challenge = read_challenge(said)
    for place in resource_places(endpoint, challenge):
        document = await asker.document(place)
        if document is not None:
            return read_resource(endpoint, document)
    if challenge is not None and challenge.resource_metadata:
        raise DiscoveryError(f"There is nothing at {challenge.resource_metadata}.")
    return without_metadata(endpoint)


async def _server(asker: Asker, issuer: str) -> AuthorizationServer:
    away: UpstreamAwayError | None = None
    for place in server_places(issuer):
        try:
            document = await asker.document(place)
        except UpstreamAwayError as error:
            away = error
            continue
        if document is not None:
            return read_server(issuer, document)
    if away is not None:
        raise away
    raise DiscoveryError(f"{issuer} does not describe itself as an authorization server.")  # fmt: skip


def check_endpoints(server: AuthorizationServer, *, may_be_plain: bool) -> None:
    """Raise ``DiscoveryError`` if a person or a secret would be sent where everybody can read along."""
    for url in (server.authorization_endpoint, server.token_endpoint):
        if not is_safe(url, may_be_plain=may_be_plain):
            raise DiscoveryError(f"{url[:200]} is no https address.")
