"""Backups as the hub sees them: what there is, and processes of their own that make, read, check and remove them."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from appliance.backups import store
from appliance.backups.configuration import set_variables
from appliance.backups.errors import (
    BackupFailedError,
    BackupNotRunningError,
    BackupRunningError,
    BackupUnsealedError,
    TargetUnavailableError,
)
from appliance.backups.model import Backup, BackupState
from appliance.backups.naming import BackupName
from appliance.backups.retention import Keep
from appliance.backups.schedule import History, next_at, problem
from appliance.backups.targets import address
from appliance.backups.targets.opening import default_target
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.process import Finished, run
from appliance.jobs.queue import cancel_running_in_lane, enqueue
from appliance.observability.audit import Actor, record
from appliance.observability.metrics import Metrics
from appliance.settings import Settings

log = structlog.get_logger("backups")

MAKE = "backups.make"
VERIFY = "backups.verify"
#: One at a time, whatever is asked for.
LANE = "backups"
#: The clock looks this often whether one is due.
LOOK_EVERY_S = 60.0
#: Seconds that a look at a target, or a removal there, may take.
TARGET_S = 45.0
_ERROR = "Error: "


@dataclass(frozen=True)
class Overview:
    """Backups at a glance."""

    #: Where they go unless somebody says otherwise.
    target: str
    #: Whether BACKUP_TARGET names it.
    has_target: bool
    has_passphrase: bool
    is_scheduled: bool
    every_hours: float
    keep: Keep
    #: When the clock makes the next one; ``None``: never.
    next_at: datetime | None
    #: What is wrong with those of the clock's; empty: nothing.
    problem: str
    good_at: datetime | None
    running: Backup | None


class BackupService:
    """Lists, starts and ends backups.

    Args:
        installation: This installation's id, for names.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        installation: str,
        metrics: Metrics | None = None,
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._settings = settings
        self._installation = installation
        self._metrics = metrics
        self._since = now()

    # -- looking

    @property
    def _every(self) -> timedelta:
        return timedelta(hours=self._settings.backup_every_hours)

    @property
    def is_scheduled(self) -> bool:
        """Whether the clock makes backups."""
        settings = self._settings
        return bool(
            settings.backup_target
            and settings.backup_passphrase_file
            and settings.backup_every_hours
        )

    async def overview(self) -> Overview:
        """Return how things are."""
        settings = self._settings
        history, running = await self._database.run(
            lambda: (store.history(), store.running())
        )
        return Overview(
            target=default_target(settings),
            has_target=settings.backup_target is not None,
            has_passphrase=settings.backup_passphrase_file is not None,
            is_scheduled=self.is_scheduled,
            every_hours=settings.backup_every_hours,
            keep=Keep(
                settings.backup_keep_last,
                settings.backup_keep_daily,
                settings.backup_keep_weekly,
            ),
            next_at=self._next_at(history),
            problem=self._problem(history),
            good_at=history.good_at,
            running=running,
        )

    def _next_at(self, history: History) -> datetime | None:
        if not self.is_scheduled:
            return None
        return next_at(history, self._every, since=self._since)

    def _problem(self, history: History) -> str:
        if not self.is_scheduled:
            return ""
        return problem(history, self._every, now=now(), since=self._since)

    async def page(self, *, before: int | None = None, limit: int = 50) -> list[Backup]:
        """Return backups, newest first; ``before`` (a number) is the cursor."""
        return await self._database.run(store.page, before=before, limit=limit)

    async def get(self, backup_id: int) -> Backup:
        """Return one backup.

        Raises:
            BackupNotFoundError: There is none of this number.
        """
        return await self._database.run(store.get, backup_id)

    async def check(self) -> tuple[str, str]:
        """Return what ``/readyz`` says: the sentence, and what is wrong (empty: nothing)."""
        found = await self.overview()
        if found.problem:
            return "", found.problem
        if not found.is_scheduled:
            return "The clock makes no backups: BACKUP_TARGET and BACKUP_PASSPHRASE_FILE are not both set.", ""  # fmt: skip
        last = f"{found.good_at:%Y-%m-%d %H:%M} UTC" if found.good_at else "not yet"
        return f"The last good backup: {last}.", ""

    # -- making

    async def start(
        self, actor: Actor, *, target: str | None = None, is_scheduled: bool = False
    ) -> Backup:
        """Begin a backup, which goes on by itself.

        Raises:
            BackupRunningError: One runs already.
            BackupUnsealedError: BACKUP_PASSPHRASE_FILE is not set, so there is nothing to seal it with.
            TargetError: The target is none.
        """
        if self._settings.backup_passphrase_file is None:
            raise BackupUnsealedError(
                "BACKUP_PASSPHRASE_FILE is not set, and the hub cannot ask anybody.",
                hint="Make one, set it and restart the hub: (umask 077; openssl rand -base64 24 > FILE)",
            )
        where = target or default_target(self._settings)
        address.parse(where)
        name = BackupName(self._installation, now(), is_scheduled=is_scheduled)

        def write() -> Backup:
            running = store.running()
            if running is not None and store.is_locked():
                raise BackupRunningError(
                    f"Backup {running.id} runs already.",
                    hint="Wait for its end, or cancel it.",
                )
            store.end_abandoned()
            backup = store.begin(
                str(name), where, is_scheduled=is_scheduled, requested_by=actor.name
            )
            enqueue(MAKE, {"backup_id": backup.id}, lane=LANE, max_attempts=3)
            _audited(actor, "backup.start", backup)
            return backup

        return await self._database.run(write)

    async def cancel(self, actor: Actor, backup_id: int) -> Backup:
        """Ask for the end of a backup, which follows within moments.

        Raises:
            BackupNotFoundError: There is none of this number.
            BackupNotRunningError: It has ended.
        """

        def write() -> Backup:
            backup = store.request_cancel(backup_id)
            if not store.is_locked():  # it waits for its turn, or its process is gone
                store.end(backup_id, BackupState.CANCELLED, "It was cancelled.")
                cancel_running_in_lane(LANE)
            _audited(actor, "backup.cancel", backup)
            return store.get(backup_id)

        return await self._database.run(write)

    async def verify(self, actor: Actor, backup_id: int) -> int:
        """Have a backup read at its target and opened; return the job that does.

        Raises:
            BackupNotFoundError: There is none of this number.
            BackupNotRunningError: There is no file of it.
        """

        def write() -> int:
            backup = _whole(store.get(backup_id))
            _audited(actor, "backup.verify", backup)
            return enqueue(VERIFY, {"backup_id": backup_id}, lane=LANE, max_attempts=1)

        return await self._database.run(write)

    async def delete(self, actor: Actor, backup_id: int) -> None:
        """Remove a backup from its target.

        Raises:
            BackupNotFoundError: There is none of this number.
            BackupNotRunningError: There is no file of it.
            TargetUnavailableError: The target does not answer.
        """
        backup = _whole(await self.get(backup_id))
        await self._at_target("backup-remove", backup.name, "--target", backup.target)

        def write() -> None:
            store.mark_deleted(backup.target, [backup.name])
            _audited(actor, "backup.delete", backup)

        await self._database.run(write)

    async def look_at_target(self, target: str | None = None) -> str:
        """Write something to a target, read it, remove it; return in words what it is like.

        Raises:
            TargetError: It is none.
            TargetUnavailableError: It does not answer.
        """
        where = target or default_target(self._settings)
        address.parse(where)
        return await self._at_target("backup-check", "--target", where)

    async def _at_target(self, *words: str) -> str:
        done = await self.run(*words, timeout_s=TARGET_S)
        if done.code:
            raise TargetUnavailableError(_last(done))
        return done.text

    async def run(self, *words: str, timeout_s: float | None = None) -> Finished:
        """Run one of our commands as a process of its own, with this hub's settings.

        What a backup needs of libraries and memory is never the hub's, and a backup that is stuck is a process to end.

        Raises:
            ProgramTimeoutError: It took too long.
        """
        variables = await asyncio.to_thread(set_variables, self._settings)
        return await run(
            [sys.executable, "-P", "-m", "appliance", *words],
            environment=variables,
            timeout_s=timeout_s,
        )

    # -- by the clock

    async def tick(self) -> None:
        """Begin a backup if one is due, and tell how old the last good one is."""
        found = await self.overview()
        if self._metrics is not None:
            self._metrics.backups(good_at=found.good_at, has_problem=bool(found.problem))  # fmt: skip
        if found.next_at is None or found.next_at > now() or found.running is not None:
            return
        try:
            await self.start(_CLOCK, is_scheduled=True)
        except BackupRunningError:
            log.info("backups.one_runs_already")


@dataclass(frozen=True)
class _Clock:
    user_id: None = None
    name: str = "system"
    via: str = "system"


_CLOCK = _Clock()


def _whole(backup: Backup) -> Backup:
    if backup.state is not BackupState.SUCCEEDED:
        raise BackupNotRunningError(
            f"Backup {backup.id} is {backup.state.value}: there is no file of it."
        )
    return backup


def _audited(actor: Actor, action: str, backup: Backup) -> None:
    record(
        actor,
        action,
        object_type="backup",
        object_id=backup.id,
        object_name=backup.name,
        details={"target": backup.target},
    )


def _last(done: Finished) -> str:
    """Return what one of our commands said was wrong."""
    lines = [line.strip() for line in done.lines if line.strip()]
    return lines[-1].removeprefix(_ERROR) if lines else f"It ended with {done.code}."


def failure(done: Finished) -> BackupFailedError:
    """Return what a command's end means as an error."""
    return BackupFailedError(_last(done), output=done.lines[-5:])
