"""Puts the room together, as the settings say."""

from appliance.core.ids import derived_key
from appliance.infra.database import Database
from appliance.infra.memory_files import MemoryFiles
from appliance.secrets.keeping import SecretKeeper
from appliance.settings import Settings
from appliance.upstreams.clients import Clients
from appliance.upstreams.connecting import Connecting
from appliance.upstreams.fetching import Asker
from appliance.upstreams.keeping import TokenKeeper
from appliance.upstreams.renewing import Renewing
from appliance.upstreams.service import Means, Standing, UpstreamService


def make_upstreams(
    database: Database,
    settings: Settings,
    keeper: SecretKeeper,
    *,
    files: MemoryFiles,
    standing: Standing,
) -> UpstreamService:
    """Return the service; nothing is asked yet."""
    may_be_plain = settings.remote_allow_private
    asker = Asker(allow_private=may_be_plain, ca_file=settings.ca_bundle)
    tokens = TokenKeeper(keeper, files)
    clients = Clients(database, asker, tokens)
    secret = settings.jwt_secret.get_secret_value().encode()
    connecting = Connecting(
        database,
        asker,
        clients,
        tokens,
        secret=derived_key(secret, "upstream-sign-ins"),
        may_be_plain=may_be_plain,
    )
    renewing = Renewing(database, asker, clients, tokens)
    means = Means(asker, clients, tokens, connecting, renewing, may_be_plain)
    return UpstreamService(database, means, standing)
