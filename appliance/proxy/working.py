"""Keeps several kinds of work going in one process: one that fails is begun again, and disturbs no other."""

import asyncio
from collections.abc import Mapping

import structlog

from appliance.proxy.ports import Work

log = structlog.get_logger("proxy")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
#: Work that went on for so long before it failed had begun well.
_WELL_AFTER_S = 120.0


async def keep_going(
    works: Mapping[str, Work], *, first_pause_s: float = FIRST_PAUSE_S
) -> None:
    """Run all ``works``, by name, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for name, work in works.items():
            group.create_task(_one(name, work, first_pause_s), name=name)


async def _one(name: str, work: Work, first_pause_s: float) -> None:
    loop = asyncio.get_running_loop()
    pause_s = first_pause_s
    while True:
        began = loop.time()
        try:
            await work.run()
        except Exception:  # whatever it is, the front door stays open
            log.exception("proxy.work_failed", work=name, again_after_s=pause_s)
        else:
            log.warning("proxy.work_ended", work=name, again_after_s=pause_s)
        if loop.time() - began > _WELL_AFTER_S:
            pause_s = first_pause_s
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
