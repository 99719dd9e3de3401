"""What people ask about what servers use."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta

from appliance.accounts.model import Principal
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.measurements import store
from appliance.measurements.model import RESOLUTIONS, Calls, Mark, Sample, Series
from appliance.measurements.sampler import Sampler
from appliance.measurements.spans import aligned, spans, step_for, stored_step

#: Returns the number of a server that somebody may know of; runs inside ``database.run``, as the others.
Visible = Callable[[Principal, int | str], int]
#: Returns the calls of a server in spans of a step, and of how many of the newest they are; ``None``: of all.
CallsOf = Callable[[int, datetime, datetime, timedelta], tuple[list[Calls], int | None]]
#: Returns what happened to a server in a window, oldest first.
MarksOf = Callable[[int, datetime, datetime], list[Mark]]


class MeasurementService:
    """Shows what servers that a principal may see use, and what happened to them."""

    def __init__(
        self,
        database: Database,
        sampler: Sampler,
        *,
        visible: Visible,
        calls: CallsOf,
        marks: MarksOf,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._sampler = sampler
        self._visible = visible
        self._calls = calls
        self._marks = marks

    async def series(
        self,
        principal: Principal,
        server: int | str,
        *,
        since: datetime,
        until: datetime | None = None,
        step: timedelta | None = None,
    ) -> Series:
        """Return everything about a window of time.

        Raises:
            ServerNotFoundError: There is none that the principal may know of.
            InvalidError: The window is empty or goes back too far, or the step is too fine.
        """
        moment = now()
        end = min(until or moment, moment)
        if since >= end:
            raise InvalidError.field("since", "must be before 'until', and in the past")
        if moment - since > RESOLUTIONS[-1].keep + timedelta(hours=1):
            raise InvalidError.field("since", "nothing is kept for more than 30 days")
        shown = step_for(since, end, moment, step)
        stored = stored_step(shown, since, moment)
        at = spans(since, end, shown)

        def read() -> Series:
            server_id = self._visible(principal, server)
            calls, sample = self._calls(server_id, at[0], end, shown)
            samples = store.series(server_id, at[0], end, step=shown, stored=stored)
            return Series(
                since=at[0],
                until=end,
                step=shown,
                at=at,
                samples=aligned(samples, at),
                calls=aligned(calls, at),
                marks=self._marks(server_id, at[0], end),
                calls_sample=sample,
            )

        return await self._database.run(read)

    def newest(self, server_id: int) -> Sample | None:
        """Return what a server used just now; ``None``: it does not run."""
        return self._sampler.newest(server_id)

    def watch(self, server_id: int) -> AsyncGenerator[Sample]:
        """Yield every new sample of a server."""
        return self._sampler.watch(server_id)
