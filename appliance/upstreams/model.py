"""Remote servers that want to know who calls, and who is connected with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from appliance.core.upstreams import Mode, account_of_user


class AuthMethod(StrEnum):
    """How a client shows itself at a token endpoint."""

    NONE = "none"
    BASIC = "client_secret_basic"
    POST = "client_secret_post"


class ClientKind(StrEnum):
    """How this box became a client of an authorization server."""

    #: By the id and the secret that somebody got there.
    GIVEN = "given"
    #: By the document that this box serves.
    DOCUMENT = "document"
    #: By registering itself.
    REGISTERED = "registered"


class ConnectionState(StrEnum):
    """Whether a connection can be used."""

    GOOD = "good"
    #: The other side does not take it any more; it has to be made anew.
    ENDED = "ended"


@dataclass(frozen=True)
class Resource:
    """What a protected resource says of itself (RFC 9728)."""

    #: What tokens are asked for.
    resource: str
    #: Where, the first one counts.
    issuer: str
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AuthorizationServer:
    """What an authorization server says of itself (RFC 8414, OpenID Connect Discovery), as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    scopes: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] = ()
    takes_documents: bool = False
    says_iss: bool = False


@dataclass(frozen=True)
class Offer:
    """All that is needed to sign in at a server."""

    resource: Resource
    server: AuthorizationServer
    #: What the challenge asked for; empty: it did not say.
    scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Client:
    """What this box is to an authorization server."""

    kind: ClientKind
    client_id: str
    auth_method: AuthMethod
    secret: SecretStr | None = None


@dataclass(frozen=True)
class Place:
    """Where this hub is, as browsers and authorization servers reach it."""

    origin: str

    @property
    def redirect_uri(self) -> str:
        """Where a person comes back to."""
        return f"{self.origin}/connections/callback"

    @property
    def document_url(self) -> str:
        """Where this box describes itself as a client."""
        return f"{self.origin}/client-metadata.json"


@dataclass(frozen=True)
class Tokens:
    """What a token endpoint gave."""

    access: SecretStr
    refresh: SecretStr | None
    #: Seconds; ``None``: it did not say.
    expires_in: float | None
    scopes: tuple[str, ...] | None


@dataclass(frozen=True)
class ServerFacts:
    """A server as this room knows it."""

    id: int
    name: str
    owner_id: int
    org_id: int | None
    #: Empty: it is no remote server.
    address: str


@dataclass(frozen=True)
class UpstreamServer:
    """A remote server that wants to know who calls."""

    server_id: int
    mode: Mode
    issuer: str
    challenge: str
    #: Of a client that somebody registered there; empty: none was given.
    client_id: str = ""
    has_secret: bool = False


@dataclass(frozen=True)
class Connection:
    """An account at a server."""

    id: int
    server_id: int
    server_name: str
    #: ``None``: everybody's.
    user_id: int | None
    connected_by: str
    state: ConnectionState
    #: Why it ended, or could not be renewed last.
    reason: str
    issuer: str
    scopes: tuple[str, ...]
    #: What the server wanted and this one may not.
    wanted_scopes: tuple[str, ...]
    serial: int
    attempts: int
    connected_at: datetime
    renewed_at: datetime | None
    expires_at: datetime | None
    #: What is needed to renew it: ``token_endpoint``, ``revocation_endpoint``, ``client_id``, ``auth_method``, ``resource``.
    terms: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def account(self) -> str:
        """As the gateway calls it."""
        return account_of_user(self.user_id)


@dataclass(frozen=True)
class SignIn:
    """One way to an authorization server and back, which a browser is on."""

    server_id: int
    #: ``None``: for the account that everybody shares.
    user_id: int | None
    began_by: int
    place: Place
    offer: Offer
    client: Client
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class AccountView:
    """What a person is shown about a server and themselves."""

    server: UpstreamServer
    server_name: str
    #: One's own, or everybody's where that counts; ``None``: there is none.
    connection: Connection | None
    #: Whether the one who asks may connect the account that counts.
    may_connect: bool
    #: Whether they may say whose account counts, and with which client.
    may_change: bool
    #: Whether it belongs to an organisation, so that a shared account makes sense.
    is_shareable: bool
