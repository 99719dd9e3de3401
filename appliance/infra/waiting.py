"""Waiting for an event, but not for ever."""

import asyncio


async def set_within(event: asyncio.Event, within_s: float) -> bool:
    """Return whether ``event`` was set within ``within_s`` seconds, as soon as that is known.

    Neither of the ways that Python 3.11 offers: ``wait_for`` loses a cancellation that comes in the moment of the event, and
    ``timeout``, before 3.11.3, takes its own end for a cancellation in a task that is being cancelled already.
    """
    waiting = asyncio.ensure_future(event.wait())
    try:
        done, _ = await asyncio.wait({waiting}, timeout=within_s)
    finally:
        waiting.cancel()
    return bool(done)
