"""Queries about tracks; rows in, model objects out. Every function runs inside ``database.run``."""

from collections.abc import Sequence
from typing import Any

from peewee import SQL, IntegrityError

from appliance.accounts import sights
from appliance.accounts.access import Sight
from appliance.accounts.orgs.model import Owner
from appliance.governance.versions import require_version
from appliance.promotions.errors import TrackNameTakenError, TrackNotFoundError
from appliance.promotions.model import NewTrack, Stage, Track
from appliance.promotions.tables import StageRow, TrackRow

NOW = SQL("now()")


def find(track: int | str) -> Track | None:
    """Return the track of this id or name, if there is one."""
    is_it = TrackRow.id == track if isinstance(track, int) else TrackRow.name == track
    row = TrackRow.get_or_none(is_it)
    return _tracks([row])[0] if row else None


def get(track_id: int) -> Track:
    """Return one track.

    Raises:
        TrackNotFoundError: There is none of this id.
    """
    found = find(track_id)
    if found is None:
        raise TrackNotFoundError(f"There is no track {track_id}.")
    return found


def locked(track_id: int) -> Track:
    """Return one track on which nobody else moves anything until the transaction ends."""
    TrackRow.select(TrackRow.id).where(TrackRow.id == track_id).for_update().execute()
    return get(track_id)


def names_of_org(org_id: int) -> tuple[str, ...]:
    """Return the names of an organisation's tracks, in order."""
    rows = TrackRow.select(TrackRow.name).where(TrackRow.org_id == org_id)
    return tuple(row.name for row in rows.order_by(TrackRow.name))


def page(sight: Sight, *, after: str = "", limit: int = 200) -> list[Track]:
    """Return up to ``limit`` tracks that may be shown, by name, from the first name after ``after``."""
    rows = (
        TrackRow.select()
        .where(TrackRow.name > after)
        .order_by(TrackRow.name)
        .limit(limit)
    )
    rows = sights.shown(rows, sight, owner=TrackRow.owner_id, org=TrackRow.org_id)
    return _tracks(list(rows))


def add(
    new: NewTrack,
    *,
    owner: Owner,
    workflow_id: int | None,
    stages: Sequence[Stage],
    created_by: str,
) -> int:
    """Insert a track with its stages and return its id.

    Raises:
        TrackNameTakenError: Another one has the name.
    """
    try:
        row = TrackRow.create(
            **_columns(new, workflow_id),
            owner_id=owner.user_id,
            org_id=owner.org_id,
            version=1,
            created_by=created_by,
            created_at=NOW,
            updated_at=NOW,
        )
    except IntegrityError as error:
        raise _taken(new.name) from error
    _set_stages(row.id, stages)
    return int(row.id)


def change(
    track: Track,
    wanted: NewTrack,
    *,
    workflow_id: int | None,
    stages: Sequence[Stage],
    version: int | None,
) -> None:
    """Replace what a track says, and its stages.

    Raises:
        StaleVersionError: It is another version by now.
        TrackNameTakenError: Another one has the name.
    """
    require_version(version, track.version, f"The track {track.name} is")
    try:
        TrackRow.update(
            **_columns(wanted, workflow_id), version=track.version + 1, updated_at=NOW
        ).where(TrackRow.id == track.id).execute()
    except IntegrityError as error:
        raise _taken(wanted.name) from error
    StageRow.delete().where(StageRow.track_id == track.id).execute()
    _set_stages(track.id, stages)


def delete(track_id: int) -> None:
    """Remove a track with all that was promoted along it."""
    TrackRow.delete().where(TrackRow.id == track_id).execute()


def _columns(new: NewTrack, workflow_id: int | None) -> dict[str, Any]:
    return {
        "name": new.name,
        "description": new.description,
        "tier": new.tier,
        "workflow_id": workflow_id,
        "allow_self": new.allow_self,
    }


def _set_stages(track_id: int, stages: Sequence[Stage]) -> None:
    for position, stage in enumerate(stages, 1):
        StageRow.insert(
            track_id=track_id,
            position=position,
            name=stage.name,
            workflow_id=stage.workflow_id,
        ).execute()


def _tracks(rows: Sequence[TrackRow]) -> list[Track]:
    """Return the tracks with their stages: one query more, however many there are."""
    ids = [row.id for row in rows]
    stages: dict[int, list[Stage]] = {}
    found = StageRow.select().where(StageRow.track_id.in_(ids))
    for item in found.order_by(StageRow.track_id, StageRow.position) if ids else ():
        stages.setdefault(item.track_id, []).append(Stage(item.name, item.workflow_id))
    return [
        Track(
            id=row.id,
            name=row.name,
            description=row.description,
            tier=row.tier,
            owner_id=row.owner_id,
            org_id=row.org_id,
            workflow_id=row.workflow_id,
            allow_self=row.allow_self,
            version=row.version,
            stages=tuple(stages.get(row.id, ())),
            created_by=row.created_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def _taken(name: str) -> TrackNameTakenError:
    return TrackNameTakenError(
        f"A track named {name} exists already.", hint="Choose another name."
    )
