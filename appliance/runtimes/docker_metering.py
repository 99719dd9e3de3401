"""What containers of the Docker engine use: read from the kernel where it can be seen, else asked of the engine, less often."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiodocker

from appliance.infra.docker import Engine, is_missing
from appliance.runtimes.meters import Meter, Reading, reading_of_stats
from appliance.runtimes.printing import Printer

#: Where the kernel's files cannot be seen (the engine is elsewhere), the engine is asked at every sixth look only.
ASK_EVERY = 6
#: Containers that the engine is asked about at once.
AT_ONCE = 4


class DockerMetering:
    """Reads many containers at once.

    Args:
        engine: The door to the engine; the caller closes it.
        meter: Reads the kernel's files.
    """

    def __init__(self, engine: Engine, meter: Meter | None = None) -> None:
        """Know no container yet."""
        self._engine = engine
        self._meter = meter
        self._pids: dict[str, int] = {}
        #: Containers that the kernel's files do not show; how often each was looked at since it was asked about.
        self._unseen: dict[str, int] = {}

    async def read(self, printers: Sequence[Printer]) -> dict[str, Reading]:
        """Return readings by container id; one that is not due, or has ended, is left out.

        Raises:
            EngineUnavailableError: The engine does not answer.
        """
        known = {item.container_id for item in printers}
        self._pids = {key: pid for key, pid in self._pids.items() if key in known}
        self._unseen = {key: n for key, n in self._unseen.items() if key in known}
        seen = known - self._unseen.keys()
        await self._find(sorted(seen - self._pids.keys()))
        pids = {key: self._pids[key] for key in seen if key in self._pids}
        found = await asyncio.to_thread(self._read_files, pids)
        for container_id in pids.keys() - found.keys():
            # Started again under another number, or not to be seen from here; the next look tells.
            del self._pids[container_id]
        return found | await self._ask_unseen()

    def _read_files(self, pids: Mapping[str, int]) -> dict[str, Reading]:
        if self._meter is None:
            self._meter = Meter()
        readings = {key: self._meter.read(pid, key) for key, pid in pids.items()}
        return {key: reading for key, reading in readings.items() if reading}

    async def _find(self, container_ids: Sequence[str]) -> None:
        """Learn the processes of containers; those whose files are not to be seen are asked about from now on."""
        for container_id in container_ids:
            shown = await self._get(f"containers/{container_id}/json")
            pid = int(shown["State"].get("Pid") or 0) if shown else 0
            if not pid:
                continue
            readable = await asyncio.to_thread(self._read_files, {container_id: pid})
            if readable:
                self._pids[container_id] = pid
            else:
                self._unseen[container_id] = 0

    async def _ask_unseen(self) -> dict[str, Reading]:
        due = [key for key, count in self._unseen.items() if count % ASK_EVERY == 0]
        self._unseen = {key: count + 1 for key, count in self._unseen.items()}
        slots = asyncio.Semaphore(AT_ONCE)

        async def ask(container_id: str) -> tuple[str, Reading | None]:
            async with slots:
                path = f"containers/{container_id}/stats"
                stats = await self._get(path, {"stream": "false", "one-shot": "true"})
            return container_id, reading_of_stats(stats) if stats else None

        answers = await asyncio.gather(*map(ask, due))
        return {key: reading for key, reading in answers if reading}

    async def _get(
        self, path: str, params: dict[str, str] | None = None
    ) -> dict[str, Any] | None:
        async with self._engine.reach() as client:
            try:
                found: dict[str, Any] = await client._query_json(path, params=params)  # noqa: SLF001 - its public calls stream
            except aiodocker.DockerError as error:
                if is_missing(error):
                    return None
                raise
        return found
