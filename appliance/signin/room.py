"""Signing in by a provider put together."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.accounts.admission import Rules
from appliance.accounts.identities import IdentityService
from appliance.accounts.model import MemberRole, Role
from appliance.core.groups import org_rules, role_rules
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.settings import Settings
from appliance.signin.asking import Asking
from appliance.signin.errors import NoProviderError
from appliance.signin.flow import Flow
from appliance.signin.model import Client
from appliance.signin.provider import Provider


@dataclass(frozen=True)
class SignIn:
    """All that pages and API call."""

    identities: IdentityService
    #: Whether passwords sign in more people than the one who keeps the door.
    by_password: bool
    #: Of the provider; empty: there is none.
    issuer: str
    #: What pages call it.
    name: str
    _flow: Flow | None

    @property
    def has_provider(self) -> bool:
        """Whether people may come by a provider."""
        return self._flow is not None

    @property
    def flow(self) -> Flow:
        """The way to the provider and back.

        Raises:
            NoProviderError: There is none.
        """
        if self._flow is None:
            raise NoProviderError(
                "No provider of identities is set up on this box.",
                hint="OIDC_ISSUER names one.",
            )
        return self._flow


def make_sign_in(database: Database, settings: Settings) -> SignIn:
    """Return the ways into this box that lead over a provider."""
    identities = IdentityService(database, _rules(settings))
    client = _client(settings)
    flow = None
    if client is not None:
        asking = Asking(_hosts(settings), settings.ca_bundle)
        flow = Flow(
            database,
            Sealer(*settings.jwt_secrets),
            Provider(client, asking),
            identities,
            keeps_tokens=settings.oidc_logout,
        )
    return SignIn(
        identities=identities,
        by_password=settings.password_sign_in,
        issuer=client.issuer if client else "",
        name=settings.oidc_name if client else "",
        _flow=flow,
    )


def _client(settings: Settings) -> Client | None:
    if not settings.oidc_issuer:
        return None
    secret = settings.oidc_client_secret
    return Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id or "",
        secret=secret.get_secret_value() if secret else "",
        scopes=settings.oidc_scopes,
        email_claim=settings.oidc_email_claim,
        group_claim=settings.oidc_group_claim,
        trusts_email=settings.oidc_trust_email,
    )


def _rules(settings: Settings) -> Rules:
    default = settings.oidc_default_role
    return Rules(
        name=settings.oidc_name,
        creates=settings.oidc_create_people,
        links_by_email=settings.oidc_link_by_email,
        domains=frozenset(
            domain.lower().removeprefix("@")
            for domain in settings.oidc_email_domains.replace(",", " ").split()
        ),
        default_role=None if default == "none" else Role(default),
        roles=tuple(
            (group, Role(role)) for group, role in role_rules(settings.oidc_roles)
        ),
        orgs=tuple(
            (group, org, MemberRole(role))
            for group, org, role in org_rules(settings.oidc_orgs)
        ),
    )


def _hosts(settings: Settings) -> tuple[str, ...]:
    names = settings.oidc_private_hosts.replace(",", " ").split()
    return (*names, urlsplit(settings.oidc_issuer or "").hostname or "")
