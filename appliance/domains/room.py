"""Puts the hub's part of the room together, as the settings say."""

from appliance.domains.here import own_addresses
from appliance.domains.names import BoxNames
from appliance.domains.service import DomainService, Find
from appliance.infra.database import Database
from appliance.settings import Settings


def box_names(settings: Settings) -> BoxNames:
    """Return the names that are the box's own."""
    names = {*settings.box_names, *settings.gateway_names}
    return BoxNames(frozenset(names), settings.base_domain or "")


def make_domains(
    database: Database, settings: Settings, *, seen: Find, changed: Find
) -> DomainService:
    """Return the service.

    Args:
        database: Where domains are.
        settings: Of the box.
        seen: Finds a server that a principal may see.
        changed: Finds a server that a principal may change.
    """
    return DomainService(
        database,
        seen=seen,
        changed=changed,
        box=box_names(settings),
        expected=lambda: own_addresses(settings),
        is_open=settings.proxy_enabled,
        port=settings.proxy_https_port,
    )
