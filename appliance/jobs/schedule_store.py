"""Queries about the clock's entries. Every function runs inside ``database.run``."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from peewee import EXCLUDED

from appliance.jobs.rhythm import FirstStart, first_start
from appliance.jobs.tables import ScheduleRow


def begin(rhythms: Mapping[str, timedelta], moment: datetime) -> dict[str, FirstStart]:
    """Write the entries that there are now, forget others, and return when each starts first."""
    ScheduleRow.delete().where(ScheduleRow.name.not_in(list(rhythms))).execute()
    known = {row.name: row.last_started_at for row in ScheduleRow.select()}
    starts = {}
    for name, every in rhythms.items():
        start = starts[name] = first_start(known.get(name), every, moment)
        values = {"every_s": every.total_seconds(), "next_run_at": start.at}
        ScheduleRow.insert(
            name=name, runs=0, missed=start.missed, **values
        ).on_conflict(
            conflict_target=[ScheduleRow.name],
            update={
                ScheduleRow.every_s: EXCLUDED.every_s,
                ScheduleRow.next_run_at: EXCLUDED.next_run_at,
                ScheduleRow.missed: ScheduleRow.missed + start.missed,
            },
        ).execute()
    return starts


def note_start(
    name: str, moment: datetime, next_run_at: datetime | None, *, runs: int = 1
) -> None:
    """Write that a run began, the last of so many."""
    _update(
        name,
        last_started_at=moment,
        next_run_at=next_run_at,
        runs=ScheduleRow.runs + runs,
    )


def note_end(name: str, moment: datetime, error: str | None) -> None:
    """Write how a run ended."""
    _update(name, last_finished_at=moment, last_error=error)


def note_missed(name: str) -> None:
    """Count a start that was due and did not happen."""
    _update(name, missed=ScheduleRow.missed + 1)


def _update(name: str, **changes: object) -> None:
    ScheduleRow.update(changes).where(ScheduleRow.name == name).execute()
