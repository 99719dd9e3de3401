"""Handlers that tests watch and hold."""

import asyncio
from collections.abc import Mapping
from typing import Any

from appliance.core.clock import now
from appliance.jobs.model import Again, Job, JobContext, JobState


class Gate:
    """A handler that says when it is in, and stays until it is let out."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.runs = 0
        self.was_cancelled = False

    async def __call__(self, _context: JobContext, _payload: Mapping[str, Any]) -> None:
        self.runs += 1
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


class Script:
    """A handler that does what it is told for its first, second, … run; the last line holds for all further ones."""

    def __init__(self, *lines: Again | Exception | None) -> None:
        self._lines = list(lines)
        self.attempts: list[int] = []

    async def __call__(
        self, context: JobContext, _payload: Mapping[str, Any]
    ) -> Again | None:
        self.attempts.append(context.job.attempt)
        line = self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]
        if isinstance(line, Exception):
            raise line
        return line


def quiet_context(kind: str, payload: Mapping[str, Any]) -> JobContext:
    """Return the context of a job's first run, whose progress nobody reads."""

    async def report(_done: float, _total: float | None, _message: str) -> None:
        pass

    job = Job(
        id=1,
        kind=kind,
        payload=payload,
        lane=None,
        state=JobState.RUNNING,
        priority=0,
        attempt=1,
        max_attempts=5,
        run_at=now(),
        worker="test",
        lease_until=None,
        cancel_requested=False,
        progress={},
        error=None,
        request_id="",
        created_at=now(),
        started_at=now(),
        finished_at=None,
    )
    return JobContext(job, report)
