"""What has to be remembered of a sign-in between the way there and the way back; nothing of it is secret. Pure."""

from dataclasses import asdict, dataclass
from typing import Any

from appliance.upstreams.model import (
    AuthMethod,
    AuthorizationServer,
    Client,
    ClientKind,
    Offer,
    Place,
    Resource,
)

_LISTS = ("scopes", "auth_methods")


@dataclass(frozen=True)
class Plan:
    """A sign-in that began."""

    place: Place
    offer: Offer
    #: Without its secret.
    client: Client
    scopes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what ``from_dict`` reads."""
        client = self.client
        return {
            "origin": self.place.origin,
            "resource": self.offer.resource.resource,
            "server": asdict(self.offer.server),
            "client": [client.kind.value, client.client_id, client.auth_method.value],
            "scopes": list(self.scopes),
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "Plan":
        """Return the plan that ``as_dict`` told."""
        server = dict(found["server"])
        for name in _LISTS:
            server[name] = tuple(server[name])
        kind, client_id, method = found["client"]
        resource = Resource(found["resource"], server["issuer"])
        return cls(
            Place(found["origin"]),
            Offer(resource, AuthorizationServer(**server)),
            Client(ClientKind(kind), client_id, AuthMethod(method)),
            tuple(found["scopes"]),
        )

    def terms(self) -> dict[str, Any]:
        """Return what is needed to renew and to revoke what came of it."""
        server, client = self.offer.server, self.client
        return {
            "token_endpoint": server.token_endpoint,
            "revocation_endpoint": server.revocation_endpoint,
            "resource": self.offer.resource.resource,
            "client": [client.kind.value, client.client_id, client.auth_method.value],
        }


def client_of(terms: dict[str, Any]) -> Client:
    """Return the client, without its secret, to which a connection's tokens were given."""
    kind, client_id, method = terms["client"]
    return Client(ClientKind(kind), client_id, AuthMethod(method))
