"""What still goes on at an instance that clients are no longer sent to, as the gateway says."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from appliance.servers.exchange import Gateway
from appliance.servers.mcp_answers import McpUnavailableError

ASK_WITHIN_S = 5.0


@dataclass(frozen=True)
class Traffic:
    """What goes on at one instance."""

    #: Whether every process of the gateway knows that the instance is left, and so begins nothing new there.
    is_left: bool
    calls: int
    streams: int

    @property
    def is_over(self) -> bool:
        """Whether it can go without anybody noticing."""
        return self.is_left and not (self.calls or self.streams)


class GatewayTraffic:
    """Asks the gateway.

    Args:
        gateway: Where it is.
    """

    def __init__(self, gateway: Gateway) -> None:
        """Keep it."""
        self._gateway = gateway

    async def of(self, instance_id: int) -> Traffic:
        """Return what goes on at an instance.

        Raises:
            McpUnavailableError: The gateway does not say.
        """
        url = f"{self._gateway.url}/instances/{instance_id}/traffic"
        timeout = aiohttp.ClientTimeout(total=ASK_WITHIN_S)
        try:
            async with self._gateway.session.get(
                url, headers=self._gateway.bearer, timeout=timeout
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise McpUnavailableError(
                        f"The gateway answered {response.status}."
                    )
                told: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise McpUnavailableError(
                f"The gateway does not answer: {error!r}."
            ) from error
        return Traffic(bool(told["is_left"]), int(told["calls"]), int(told["streams"]))
