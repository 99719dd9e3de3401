"""Where a request to the authorization server came to: who it is there, and for which endpoints it issues tokens."""

from urllib.parse import urlsplit

from aiohttp import web

from appliance.oauth import resources
from appliance.oauth.authorizing import Place
from appliance.oauth.errors import OtherIssuerError
from appliance.web.keys import SETTINGS
from appliance.web.requests import own_url

_DEFAULT_PORTS = {"http": 80, "https": 443}


def place_of(request: web.Request) -> Place:
    """Return where a request came to, and where the resources are that it may name.

    Raises:
        OtherIssuerError: Another authorization server is the one of this box.
    """
    settings = request.app[SETTINGS]
    if settings.oauth_issuer:
        raise OtherIssuerError(
            "Another authorization server issues the tokens for this box.",
            hint=f"It is {settings.oauth_issuer}.",
        )
    issuer = own_url(request)
    gateway = urlsplit(settings.mcp_gateway_url)
    hosts = (urlsplit(issuer).hostname or "", gateway.hostname or "")
    origins = resources.origins(
        gateway_url=settings.gateway_public_url,
        hub_url=settings.public_url,
        gateway_port=gateway.port or _DEFAULT_PORTS.get(gateway.scheme, 80),
        hosts=hosts,
    )
    base = settings.base_domain if settings.proxy_enabled else None
    return Place(issuer, origins, base or "")
