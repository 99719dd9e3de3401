"""The image that looks into volumes, for people who do not wait for ever."""

import asyncio
from collections.abc import Awaitable, Callable

from appliance.files.errors import FilesNotReadyError

#: Seconds that a request waits for an image that is just being made.
PATIENCE_S = 30.0


class HelperImage:
    """Has an image made, and tells those who asked too early to come back: making it goes on without them.

    Args:
        make: Returns the image's tag, after making it if it is not there.
    """

    def __init__(self, make: Callable[[], Awaitable[str]]) -> None:
        """Make nothing yet."""
        self._make = make
        self._making: asyncio.Future[str] | None = None

    async def __call__(self) -> str:
        """Return the image's tag.

        Raises:
            FilesNotReadyError: It is still being made.
            BuildFailedError: It could not be made; says what is missing.
        """
        if self._making is None:
            self._making = asyncio.ensure_future(self._make())
        making = self._making
        await asyncio.wait({making}, timeout=PATIENCE_S)
        if not making.done():
            raise FilesNotReadyError(
                "The box makes its base image, once; files can be reached after that.",
                hint="Try again in a few minutes.",
            )
        self._making = None
        return making.result()

    async def close(self) -> None:
        """Give up."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait({self._making})
