"""The part of the room that works beside the front door; the hub never loads what asks DNS."""

from collections.abc import Awaitable, Callable

from appliance.core.dns import resolvers_of
from appliance.domains.asking import Asker
from appliance.domains.checking import Checker, nothing_to_prepare
from appliance.domains.here import own_addresses
from appliance.infra.database import Database
from appliance.settings import Settings


def make_checker(
    database: Database,
    settings: Settings,
    prepare: Callable[[str], Awaitable[None]] = nothing_to_prepare,
) -> Checker:
    """Return what looks at domains.

    Args:
        database: Where they are.
        settings: Of the box.
        prepare: Lays down a certificate for a host that is about to be served.
    """
    return Checker(
        database,
        Asker(resolvers_of(settings.dns_resolvers)),
        expected=lambda: own_addresses(settings),
        prepare=prepare,
    )
