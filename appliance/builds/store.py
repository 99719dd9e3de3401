"""Builds and their log lines in Postgres; every function runs inside ``Database.run``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import fn

from appliance.builds.model import (
    BuildLine,
    BuildRequest,
    BuildState,
    BuildView,
    BuiltImage,
    Lock,
    PlatformProgress,
    StepProgress,
)
from appliance.builds.tables import BuildLockRow, BuildLogLineRow, BuildRow
from appliance.core.clock import now
from appliance.observability.events import publish_in_transaction


@dataclass(frozen=True)
class Begun:
    """A build that may go on."""

    view: BuildView
    #: Number of the last line that is stored.
    last_line: int


def begin(request: BuildRequest) -> Begun:
    """Make the deployment's row, or count one more attempt; a build that succeeded is returned as it is."""
    moment = now()
    fresh = (
        BuildRow.insert(
            deployment_id=request.deployment_id,
            server_id=request.server_id,
            state=BuildState.RUNNING,
            attempt=1,
            dockerfile="",
            resolved={},
            platforms=[],
            error="",
            started_at=moment,
        )
        .on_conflict(conflict_target=[BuildRow.deployment_id], action="IGNORE")
        .execute()
    )
    row = (
        BuildRow.select()
        .where(BuildRow.deployment_id == request.deployment_id)
        .for_update()
        .get()
    )
    if not fresh and row.state != BuildState.SUCCEEDED:
        _again(row)
    last = (
        BuildLogLineRow.select(fn.MAX(BuildLogLineRow.number))
        .where(BuildLogLineRow.build_id == row.id)
        .scalar()
    )
    return Begun(_view(row), last or 0)


def begin_again(build_id: int) -> Begun:
    """Count one more attempt of a build that had succeeded, because its image is gone."""
    row = BuildRow.select().where(BuildRow.id == build_id).for_update().get()
    _again(row)
    last = (
        BuildLogLineRow.select(fn.MAX(BuildLogLineRow.number))
        .where(BuildLogLineRow.build_id == row.id)
        .scalar()
    )
    return Begun(_view(row), last or 0)


def _again(row: BuildRow) -> None:
    row.state = BuildState.RUNNING
    row.platforms = []
    row.attempt += 1
    row.error = ""
    row.finished_at = None
    row.save()


def set_recipe(build_id: int, *, dockerfile: str, base_image: str | None) -> None:
    """Keep what is being built."""
    BuildRow.update(dockerfile=dockerfile, base_image=base_image).where(
        BuildRow.id == build_id
    ).execute()


def succeed(
    view: BuildView,
    *,
    tag: str | None,
    built: BuiltImage,
    platforms: Sequence[Mapping[str, Any]],
) -> bool:
    """Write the one result of the build; return whether this call did, rather than one before it."""
    changed = (
        BuildRow.update(
            state=BuildState.SUCCEEDED,
            image=tag,
            image_digest=built.image or None,
            resolved=built.resolved,
            platforms=list(platforms),
            finished_at=now(),
        )
        .where(
            (BuildRow.id == view.id)
            & (BuildRow.state == BuildState.RUNNING)
            & (BuildRow.attempt == view.attempt)
        )
        .execute()
    )
    if not changed:
        return False
    if built.lock:
        keep_lock(view.id, built.lock)
    _announce(view.id, view.server_id, BuildState.SUCCEEDED)
    return True


def keep_lock(build_id: int, lock: Lock) -> None:
    """Keep what a build took; a later attempt's replaces an earlier one's."""
    values = {
        "filename": lock.filename,
        "content": lock.text,
        "package": lock.package,
        "version": lock.version,
        "as_of": lock.as_of,
        "newest": lock.newest,
    }
    BuildLockRow.insert(build_id=build_id, **values).on_conflict(
        conflict_target=[BuildLockRow.build_id], update=values
    ).execute()


def lock_of(deployment_id: int) -> Lock | None:
    """Return what the deployment's build took, if it was a package."""
    row = (
        BuildLockRow.select()
        .join(BuildRow, on=BuildRow.id == BuildLockRow.build_id)
        .where(BuildRow.deployment_id == deployment_id)
        .first()
    )
    if row is None:
        return None
    return Lock(
        filename=row.filename,
        text=row.content,
        package=row.package,
        version=row.version,
        as_of=row.as_of,
        newest=row.newest,
    )


def end(view: BuildView, state: BuildState, error: str = "") -> bool:
    """Write that the build failed or was cancelled; return whether it is news. One that succeeded stays so.

    The end of a build whose server was deleted meanwhile is news that has no row here.
    """
    changed = (
        BuildRow.update(state=state, error=error, finished_at=now())
        .where(
            (BuildRow.id == view.id)
            & (BuildRow.state == BuildState.RUNNING)
            & (BuildRow.attempt == view.attempt)
        )
        .execute()
    )
    _announce(view.id, view.server_id, state)
    return bool(changed) or not BuildRow.select().where(BuildRow.id == view.id).exists()


def _announce(build_id: int, server_id: int, state: BuildState) -> None:
    publish_in_transaction(
        "build.state", server_id, {"build_id": build_id, "state": state.value}
    )


def append(
    build_id: int,
    server_id: int,
    lines: Sequence[BuildLine],
    platforms: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Store lines and how far the platforms are, and tell whoever watches, in one transaction.

    A build whose server is gone keeps nothing.

    Args:
        build_id: The build.
        server_id: Its server.
        lines: New lines, in order.
        platforms: Its rows; ``None``: as they were.
    """
    if not BuildRow.select().where(BuildRow.id == build_id).for_update().exists():
        return
    data: dict[str, Any] = {"build_id": build_id}
    if platforms is not None:
        BuildRow.update(platforms=list(platforms)).where(
            BuildRow.id == build_id
        ).execute()
    if not lines:
        publish_in_transaction("build.progress", server_id, data)
        return
    moment = now()
    BuildLogLineRow.insert_many(
        [
            {
                "build_id": build_id,
                "number": line.number,
                "at": moment,
                "line": line.text,
            }
            for line in lines
        ]
    ).on_conflict(action="IGNORE").execute()
    data |= {"from": lines[0].number, "to": lines[-1].number}
    publish_in_transaction("build.log", server_id, data)


def lines(build_id: int, *, after: int, limit: int) -> list[BuildLine]:
    """Return lines after number ``after``, oldest first."""
    rows = (
        BuildLogLineRow.select(BuildLogLineRow.number, BuildLogLineRow.line)
        .where(
            (BuildLogLineRow.build_id == build_id) & (BuildLogLineRow.number > after)
        )
        .order_by(BuildLogLineRow.number)
        .limit(limit)
    )
    return [BuildLine(row.number, row.line) for row in rows]


def last_lines(build_id: int, count: int) -> list[str]:
    """Return the texts of the last lines, oldest first."""
    rows = (
        BuildLogLineRow.select(BuildLogLineRow.line)
        .where(BuildLogLineRow.build_id == build_id)
        .order_by(BuildLogLineRow.number.desc())
        .limit(count)
    )
    return [row.line for row in rows][::-1]


def of_deployment(deployment_id: int) -> BuildView | None:
    """Return the deployment's build, if it has one."""
    row = BuildRow.get_or_none(BuildRow.deployment_id == deployment_id)
    return _view(row) if row else None


def latest(server_id: int) -> BuildView | None:
    """Return the server's newest build, if it has one."""
    row = (
        BuildRow.select()
        .where(BuildRow.server_id == server_id)
        .order_by(BuildRow.id.desc())
        .first()
    )
    return _view(row) if row else None


def built_image(view: BuildView) -> BuiltImage:
    """Return what a build that succeeded came to."""
    return BuiltImage(image=view.image_digest or "", resolved=view.resolved)


def _progress(item: Mapping[str, Any]) -> PlatformProgress:
    moments = {
        name: datetime.fromisoformat(item[name]) if item[name] else None
        for name in ("started_at", "built_at", "finished_at")
    }
    log = tuple(StepProgress(**step) for step in item["log"])
    return PlatformProgress(**{**item, **moments, "log": log})


def _view(row: BuildRow) -> BuildView:
    return BuildView(
        id=row.id,
        deployment_id=row.deployment_id,
        server_id=row.server_id,
        state=BuildState(row.state),
        attempt=row.attempt,
        image=row.image,
        image_digest=row.image_digest,
        base_image=row.base_image,
        dockerfile=row.dockerfile,
        resolved=row.resolved,
        platforms=tuple(_progress(item) for item in row.platforms),
        error=row.error,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
