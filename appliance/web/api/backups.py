"""/api/backups: what there is, make one, cancel, read one back, remove one, look at the target."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from appliance.backups.model import Backup
from appliance.backups.service import Overview
from appliance.web.api.answer import Answer
from appliance.web.api.jobs import JobAnswer
from appliance.web.keys import BACKUPS, JOBS
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("backups")
_CONFLICT = (HTTPStatus.CONFLICT,)


class BackupAnswer(Answer):
    """One backup."""

    id: int
    name: str = Field(description="Of its file.")
    target: str = Field(description="A directory of the box, `s3://…` or `ssh://…`.")
    state: str = Field(
        description="running, succeeded, failed, cancelled, or deleted (it was made, and its file was removed)."
    )
    is_scheduled: bool = Field(
        description="Whether the clock made it; only such are removed by retention."
    )
    requested_by: str
    started_at: datetime
    finished_at: datetime | None
    verified_at: datetime | None = Field(
        description="When it was last read back, opened and found whole."
    )
    size_bytes: int
    progress: dict[str, Any] = Field(
        description="While it runs: `step`, `number`, `of`, and the step's `bytes`."
    )
    error: str
    summary: dict[str, Any] = Field(
        description="`parts` with their sizes, and `servers`: how each one's image comes back (`included`, `pulled`, `built`, "
        "`none`) and of which moment its /data is (`still`, `frozen`, `thawed`, `running`)."
    )

    @classmethod
    def of(cls, backup: Backup) -> Self:
        """Return ``backup`` as it is answered."""
        return cls(
            id=backup.id,
            name=backup.name,
            target=backup.target,
            state=backup.state.value,
            is_scheduled=backup.is_scheduled,
            requested_by=backup.requested_by,
            started_at=backup.started_at,
            finished_at=backup.finished_at,
            verified_at=backup.verified_at,
            size_bytes=backup.size_bytes,
            progress=backup.progress,
            error=backup.error,
            summary=backup.summary,
        )


class OverviewAnswer(Answer):
    """Where backups go, and when."""

    target: str
    has_target: bool = Field(description="Whether `BACKUP_TARGET` is set.")
    has_passphrase: bool = Field(
        description="Whether `BACKUP_PASSPHRASE_FILE` is set; without it the hub makes none."
    )
    is_scheduled: bool
    every_hours: float
    keep_last: int
    keep_daily: int
    keep_weekly: int
    next_at: datetime | None
    last_good_at: datetime | None
    problem: str = Field(
        description="What is wrong with the clock's backups; empty: nothing."
    )

    @classmethod
    def of(cls, found: Overview) -> Self:
        """Return ``found`` as it is answered."""
        return cls(
            target=found.target,
            has_target=found.has_target,
            has_passphrase=found.has_passphrase,
            is_scheduled=found.is_scheduled,
            every_hours=found.every_hours,
            keep_last=found.keep.last,
            keep_daily=found.keep.daily,
            keep_weekly=found.keep.weekly,
            next_at=found.next_at,
            last_good_at=found.good_at,
            problem=found.problem,
        )


class BackupPage(Answer):
    """Some backups, newest first, and how things are."""

    overview: OverviewAnswer
    items: list[BackupAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class BackupQuery(Input):
    """Which backups are wanted."""

    cursor: int | None = Field(
        None, ge=1, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Backups a page.")


class TargetBody(Input):
    """Where to."""

    target: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="A directory of the box, `s3://bucket/prefix` or `ssh://user@host/path`; absent: `BACKUP_TARGET`.",
    )


class TargetAnswer(Answer):
    """What a target is like."""

    text: str


@routes.get("/api/backups", summary="List backups", access=Access.ADMIN)
async def index(request: web.Request, *, query: BackupQuery) -> BackupPage:
    """Backups that were begun, newest first, and where and when the next one goes; for administrators.

    Bringing one back is done on the box itself: `mcp-host restore`.
    """
    service = request.app[BACKUPS]
    found = await service.page(before=query.cursor, limit=query.limit + 1)
    shown, last = one_page(found, query.limit)
    return BackupPage(
        overview=OverviewAnswer.of(await service.overview()),
        items=[BackupAnswer.of(item) for item in shown],
        next_cursor=last.id if last else None,
    )


@routes.post(
    "/api/backups",
    summary="Make a backup",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=_CONFLICT,
)
async def start(request: web.Request, *, body: TargetBody) -> BackupAnswer:
    """Begin a backup of everything, which goes on by itself; events `backup.changed` tell how far it is."""
    backup = await request.app[BACKUPS].start(principal_of(request), target=body.target)
    return BackupAnswer.of(backup)


@routes.post(
    "/api/backups/check-target", summary="Look at a target", access=Access.ADMIN
)
async def check_target(request: web.Request, *, body: TargetBody) -> TargetAnswer:
    """Write something to a target, read it and remove it; for administrators."""
    return TargetAnswer(text=await request.app[BACKUPS].look_at_target(body.target))


@routes.get(
    "/api/backups/{backup_id:[0-9]{1,18}}",
    summary="Show a backup",
    access=Access.ADMIN,
)
async def show(request: web.Request) -> BackupAnswer:
    """One backup; for administrators."""
    return BackupAnswer.of(await request.app[BACKUPS].get(_backup_id(request)))


@routes.post(
    "/api/backups/{backup_id:[0-9]{1,18}}/cancel",
    summary="Cancel a backup",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=_CONFLICT,
)
async def cancel(request: web.Request) -> BackupAnswer:
    """Tell a backup that runs to stop; nothing stays of it. For administrators."""
    backup = await request.app[BACKUPS].cancel(
        principal_of(request), _backup_id(request)
    )
    return BackupAnswer.of(backup)


@routes.post(
    "/api/backups/{backup_id:[0-9]{1,18}}/verify",
    summary="Read a backup back",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=_CONFLICT,
)
async def verify(request: web.Request) -> JobAnswer:
    """Fetch a backup from its target, open every part and compare every checksum; for administrators."""
    job_id = await request.app[BACKUPS].verify(
        principal_of(request), _backup_id(request)
    )
    return JobAnswer.of(await request.app[JOBS].get(job_id))


@routes.delete(
    "/api/backups/{backup_id:[0-9]{1,18}}",
    summary="Remove a backup",
    access=Access.ADMIN,
    status=HTTPStatus.NO_CONTENT,
    errors=_CONFLICT,
)
async def delete(request: web.Request) -> None:
    """Remove a backup's file from its target; for administrators."""
    await request.app[BACKUPS].delete(principal_of(request), _backup_id(request))


def _backup_id(request: web.Request) -> int:
    return int(request.match_info["backup_id"])
