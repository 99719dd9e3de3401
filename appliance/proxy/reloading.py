"""Reloads that no request notices.

When Nginx is reloaded, its old workers close connections that clients keep and are about to use, and a POST that meets this
is lost. So clients are first told to use each connection no more (``leaving``, a file that Nginx looks for), and Nginx is told
only when none waits, when all that were open then are gone, or when each had time to go by itself: an idle one is closed after
``KEEPALIVE_S``, and what is busy is finished by the old workers.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from collections.abc import Set as AbstractSet

from appliance.proxy import nginx
from appliance.proxy.errors import NginxRefusedError, ReloadError
from appliance.proxy.model import Places
from appliance.proxy.snippets import KEEPALIVE_S

#: Nginx looks for the file once a second.
_NOTICED_S = 1.5
_POLL_S = 0.1
_TAKEN_WITHIN_S = 30.0
_MARGIN_S = 2.0


async def reload(
    places: Places,
    generation: str,
    *,
    ports: Collection[int],
    patience_s: float = KEEPALIVE_S + _MARGIN_S,
) -> float:
    """Have Nginx take the configuration of ``generation``, and return how many seconds it took.

    Args:
        ports: To which clients connect.
        patience_s: Seconds that clients have to leave.

    Raises:
        ReloadError: It goes on with the configuration before.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.to_thread(places.leaving.touch)
    try:
        await asyncio.sleep(_NOTICED_S)
        kept = await asyncio.to_thread(nginx.clients, ports)
        await _within(patience_s, lambda: _nobody_waits(places, ports, kept))
        await _turn(places, generation)
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(places.leaving.unlink)
    return loop.time() - began


async def _turn(places: Places, generation: str) -> None:
    old = await asyncio.to_thread(nginx.workers, places)
    try:
        await asyncio.to_thread(nginx.hang_up, places)
    except NginxRefusedError as error:
        raise ReloadError(error.detail) from error

    async def is_taken() -> bool:
        found = await nginx.answering(places)
        return (
            found is not None
            and found.generation == generation
            and found.worker not in old
            and await asyncio.to_thread(nginx.are_leaving, old)
        )

    if not await _within(_TAKEN_WITHIN_S, is_taken):
        raise ReloadError(
            "Nginx goes on with the configuration before.",
            hint="Its log says why: nginx.log in DATA_DIR/log.",
        )


async def _nobody_waits(
    places: Places, ports: Collection[int], kept: AbstractSet[str]
) -> bool:
    found = await nginx.counts(places)
    if found is None or found.waiting == 0:
        return True
    # Under load somebody has always just come. They are told to leave with their first answer.
    return kept.isdisjoint(await asyncio.to_thread(nginx.clients, ports))


async def _within(seconds: float, is_so: Callable[[], Awaitable[bool]]) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await is_so():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True
