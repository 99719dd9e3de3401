"""Where a service's name leads now, and whether the hub may go there."""

import asyncio
import errno
import socket
from ipaddress import ip_address

from appliance.integrations import reach
from appliance.integrations.errors import AddressForbiddenError, ProbeFailedError
from appliance.integrations.kinds.ports import Destination


async def address_of(
    destination: Destination, *, server_networks: tuple[str, ...], is_admin: bool
) -> str:
    """Return the address that a test connects to: looked up once, so that nobody leads it elsewhere afterwards.

    Raises:
        ProbeFailedError: The name leads nowhere.
        AddressForbiddenError: One of its addresses is none that the hub connects to for this person.
    """
    addresses = await _resolved(destination)
    for address in addresses:
        why = reach.refusal(
            address,
            is_own=is_own(address),
            server_networks=server_networks,
            is_admin=is_admin,
        )
        if why:
            raise AddressForbiddenError(
                f"{destination.host} is {address}, which {why}."
                if destination.host != address
                else f"{address} {why}.",
                hint="The service can be kept all the same; only its test is refused.",
            )
    return addresses[0]


async def _resolved(destination: Destination) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            destination.host, destination.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise ProbeFailedError(
            f"The name {destination.host} leads nowhere: {error.strerror or error}.",
            hint="Is it spelt right, and known to the box's own DNS?",
        ) from error
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def is_own(address: str) -> bool:
    """Tell whether an address is one of this box: then, and only then, can something listen there."""
    family = (
        socket.AF_INET6
        if ip_address(address.partition("%")[0]).version == 6  # noqa: PLR2004 - IPv6
        else socket.AF_INET
    )
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError as error:
        # Anything but "not mine" counts as mine.
        return error.errno != errno.EADDRNOTAVAIL
    return True
