"""Connects, and says nothing."""

from appliance.integrations.probes import Asked
from appliance.integrations.probes.lines import connected


async def probe(asked: Asked) -> str:
    """Return that somebody listens.

    Raises:
        ProbeFailedError: Nobody does.
    """
    async with connected(asked, tls=asked.settings["tls"]):
        how = "with TLS " if asked.settings["tls"] else ""
        return f"Somebody listens {how}at {asked.destination}."
