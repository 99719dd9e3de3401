"""Names of strangers, resolved to addresses of others only."""

import socket

import aiohttp
from aiohttp.abc import ResolveResult

from appliance.sources.reach import is_private


class PublicResolver(aiohttp.ThreadedResolver):
    """Refuses a name of which even one address is private.

    What is looked up is what is connected to, so no second answer of a name server can differ from the one that was checked.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``.

        Raises:
            OSError: One of them is private, or there are none.
        """
        found = await super().resolve(host, port, family)
        if any(is_private(item["host"]) for item in found):
            raise OSError(f"{host} is an address of this box or its neighbours")
        return found
