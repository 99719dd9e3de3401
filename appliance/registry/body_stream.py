"""A layer on its way from the engine to the registry: patient with the one, and not with the other."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from appliance.registry.errors import ErrorKind, RegistryError

CHUNK_BYTES = 256 * 1024


class BodyStream:
    """A body on its way from the engine to the registry.

    Args:
        request: The engine's.
        timeout_s: Seconds that the registry may take nothing.
    """

    def __init__(self, request: web.BaseRequest, timeout_s: float) -> None:
        """Keep the parts; nothing is read yet."""
        self._request = request
        self._timeout_s = timeout_s
        self._patience: asyncio.Timeout | None = None
        #: Bytes that were handed on.
        self.count = 0
        self._broken: Exception | None = None

    @property
    def has_body(self) -> bool:
        """Whether the engine sends one."""
        return self._request.can_read_body

    def patience(self) -> asyncio.Timeout:
        """Return what ends the sending when the registry takes nothing more; the engine may take its time."""
        self._patience = asyncio.timeout(None)
        return self._patience

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it comes."""
        while True:
            self._wait_for_registry(is_awaited=False)
            try:
                chunk = await self._request.content.read(CHUNK_BYTES)
            except Exception as error:
                self._broken = error
                raise
            if not chunk:
                break
            self._wait_for_registry(is_awaited=True)
            self.count += len(chunk)
            yield chunk

    def check(self) -> None:
        """Tell the engine's failure from the registry's.

        Raises:
            RegistryError: The engine hung up in the middle.
        """
        if self._broken is not None:
            raise RegistryError(
                ErrorKind.ENGINE, "The engine broke off in the middle of a layer."
            ) from self._broken

    def _wait_for_registry(self, *, is_awaited: bool) -> None:
        if self._patience is not None:
            until = asyncio.get_running_loop().time() + self._timeout_s
            self._patience.reschedule(until if is_awaited else None)
