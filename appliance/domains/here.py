"""Which addresses this box has."""

import ipaddress
import socket

from appliance.core.dns import addresses_of
from appliance.settings import Settings

#: Nothing is sent there: it is only asked which of our own addresses would be used. Documentation's (RFC 5737, 3849).
_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def own_addresses(settings: Settings) -> tuple[str, ...]:
    """Return where names have to point: what PUBLIC_ADDRESSES names, else what the box itself has that the world reaches.

    Names are not resolved for it: what a CDN answers with belongs to everybody who uses it.
    """
    if settings.public_addresses:
        return addresses_of(settings.public_addresses)
    found = (_source(family, address) for family, address in _SOMEWHERE)
    return tuple(item for item in found if item and ipaddress.ip_address(item).is_global)  # fmt: skip


def _source(family: socket.AddressFamily, address: str) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return ""
        name: str = probe.getsockname()[0]
        return name
