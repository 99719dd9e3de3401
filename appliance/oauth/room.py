"""The authorization server put together."""

from dataclasses import dataclass
from datetime import timedelta

from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.oauth.authorizing import Authorizing
from appliance.oauth.clients import Clients
from appliance.oauth.fetching import Fetcher
from appliance.oauth.grants import Grants
from appliance.oauth.issuing import Issuing, Lifetimes
from appliance.oauth.keys import TokenKeys
from appliance.oauth.machines import Machines
from appliance.settings import Settings


@dataclass(frozen=True)
class AuthorizationServer:
    """All that pages and protocol call."""

    keys: TokenKeys
    clients: Clients
    authorizing: Authorizing
    issuing: Issuing
    grants: Grants
    machines: Machines


def make_authorization_server(
    database: Database, settings: Settings
) -> AuthorizationServer:
    """Return the authorization server of this box."""
    sealer = Sealer(*settings.jwt_secrets)
    keys = TokenKeys(database, sealer)
    fetcher = Fetcher(settings.private_client_hosts, settings.ca_bundle)
    clients = Clients(database, fetcher, registers=settings.oauth_registration)
    refresh = timedelta(days=settings.oauth_refresh_token_days)
    access = timedelta(seconds=settings.oauth_access_token_seconds)
    return AuthorizationServer(
        keys=keys,
        clients=clients,
        authorizing=Authorizing(database, clients),
        issuing=Issuing(database, keys, Lifetimes(access, refresh)),
        grants=Grants(database, refresh_lasts=refresh),
        machines=Machines(database),
    )
