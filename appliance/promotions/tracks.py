"""What people do with tracks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.accounts.access import Kind, require_found, sight
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs import store as orgs
from appliance.accounts.orgs.ownership import new_owner
from appliance.core.errors import InvalidError
from appliance.core.names import check_label
from appliance.core.tiers import is_pattern
from appliance.governance import workflow_store
from appliance.governance.errors import WorkflowNotFoundError
from appliance.governance.workflows import visible as visible_workflow
from appliance.infra.database import Database
from appliance.observability.audit import record as audit
from appliance.promotions import store, track_store
from appliance.promotions.errors import TrackInUseError, TrackNotFoundError
from appliance.promotions.model import NewTrack, Promotion, Stage, Track

MAX_STAGES = 12
MAX_TEXT = 2000


@dataclass(frozen=True)
class TrackView:
    """A track as people see it."""

    track: Track
    #: Name of the organisation that it belongs to; empty: it is a person's.
    org: str
    #: Names of the workflows that it goes by.
    workflows: dict[int, str]


class TrackService:
    """Lists, makes and changes tracks on behalf of a principal; a track is named by its id or its name.

    Whoever may not know of a track gets ``TrackNotFoundError``; whoever may see but not change it ``NotAllowedError``.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def page(
        self, principal: Principal, *, after: str = "", limit: int = 50
    ) -> list[TrackView]:
        """Return up to ``limit`` tracks that the principal may see, by name, from the first name after ``after``."""

        def read() -> list[TrackView]:
            return views(track_store.page(sight(principal), after=after, limit=limit))

        return await self._database.run(read)

    async def get(self, principal: Principal, track: int | str) -> TrackView:
        """Return one track."""
        return await self._database.run(lambda: views([visible(principal, track)])[0])

    async def board(
        self, principal: Principal, track: int | str
    ) -> tuple[TrackView, list[Promotion]]:
        """Return a track with what is on its way or active on it, newest first."""

        def read() -> tuple[TrackView, list[Promotion]]:
            found = visible(principal, track)
            return views([found])[0], store.board(found.id)

        return await self._database.run(read)

    async def create(self, principal: Principal, new: NewTrack) -> TrackView:
        """Add a track.

        Raises:
            InvalidError: A field is wrong; every one is named.
            NotAllowedError: The principal may not make tracks there.
            TrackNameTakenError: Another one has the name.
        """
        _check(new)

        def write() -> TrackView:
            owner = new_owner(principal, Kind.TRACK, new.org)
            track_id = track_store.add(
                new,
                owner=owner,
                workflow_id=_workflow(principal, new.workflow, "workflow"),
                stages=_stages(principal, new),
                created_by=principal.name,
            )
            made = track_store.get(track_id)
            _audit(principal, "create", made, after=_told(made))
            return views([made])[0]

        return await self._database.run(write)

    async def change(
        self,
        principal: Principal,
        track: int | str,
        new: NewTrack,
        *,
        version: int | None = None,
    ) -> TrackView:
        """Replace what a track says; to whom it belongs stays, and what is on its way keeps its run.

        Raises:
            InvalidError: A field is wrong; every one is named.
            TrackInUseError: A stage would go that something is in or on its way to.
            StaleVersionError: Somebody changed it meanwhile.
        """
        _check(new)

        def write() -> TrackView:
            found = track_store.locked(visible(principal, track, Action.CHANGE).id)
            gone = store.stages_in_use(found.id) - {item.name for item in new.stages}
            if gone:
                raise TrackInUseError(
                    f"Something is in {', '.join(sorted(gone))}, or on its way there.",
                    hint="Keep that stage, or roll back what is in it.",
                )
            track_store.change(
                found,
                new,
                workflow_id=_workflow(principal, new.workflow, "workflow"),
                stages=_stages(principal, new),
                version=version,
            )
            changed = track_store.get(found.id)
            _audit(
                principal, "change", changed, before=_told(found), after=_told(changed)
            )
            return views([changed])[0]

        return await self._database.run(write)

    async def delete(self, principal: Principal, track: int | str) -> None:
        """Remove a track with its history.

        Raises:
            TrackInUseError: Something on it is on its way or active.
        """

        def write() -> None:
            found = track_store.locked(visible(principal, track, Action.DELETE).id)
            if count := store.open_or_active(found.id):
                raise TrackInUseError(
                    f"{count} {'promotion is' if count == 1 else 'promotions are'} on the way or active on {found.name}.",
                    hint="Roll them back first.",
                )
            track_store.delete(found.id)
            _audit(principal, "delete", found, before=_told(found))

        await self._database.run(write)


def visible(
    principal: Principal, track: int | str, action: Action = Action.SEE
) -> Track:
    """Return a track with which somebody may do something; runs inside ``database.run``.

    Raises:
        TrackNotFoundError: There is none of which they may know.
        NotAllowedError: They may see it, not do this.
    """
    missing = TrackNotFoundError(f"There is no track {track}.")
    return require_found(principal, action, track_store.find(track), missing)


def views(found: Sequence[Track]) -> list[TrackView]:
    """Return tracks as people see them; runs inside ``database.run``."""
    names = orgs.names({item.org_id for item in found if item.org_id})
    ids = {
        number
        for item in found
        for number in (item.workflow_id, *(stage.workflow_id for stage in item.stages))
        if number
    }
    workflows = workflow_store.names(sorted(ids))
    return [
        TrackView(item, names.get(item.org_id or 0, ""), workflows) for item in found
    ]


def _check(new: NewTrack) -> None:
    wrong: dict[str, str] = {}
    try:
        check_label(new.name, example="production")
    except InvalidError as error:
        wrong |= error.fields
    if not is_pattern(new.tier.strip()):
        wrong["tier"] = "give a tier or a pattern such as gold:npm, gold:*, *:npm or *"
    if len(new.description) > MAX_TEXT:
        wrong["description"] = f"use at most {MAX_TEXT} characters"
    wrong |= _stage_problems([stage.name for stage in new.stages])
    if wrong:
        named = ", ".join(wrong)
        raise InvalidError(f"Some fields are not right: {named}.", fields=wrong)


def _stage_problems(names: Sequence[str]) -> dict[str, str]:
    if not 0 < len(names) <= MAX_STAGES:
        return {"stages": f"name 1 to {MAX_STAGES} stages, the first one first"}
    wrong: dict[str, str] = {}
    for number, name in enumerate(names):
        try:
            check_label(name, example="canary")
        except InvalidError as error:
            wrong[f"stages.{number}.name"] = error.fields["name"]
        if name in names[:number]:
            wrong[f"stages.{number}.name"] = "another stage has this name"
    return wrong


def _stages(principal: Principal, new: NewTrack) -> list[Stage]:
    return [
        Stage(item.name, _workflow(principal, item.workflow, f"stages.{at}.workflow"))
        for at, item in enumerate(new.stages)
    ]


def _workflow(
    principal: Principal, workflow: int | str | None, field: str
) -> int | None:
    """Return the number of a workflow that the principal may run."""
    if workflow is None:
        return None
    try:
        return visible_workflow(principal, workflow, Action.DEPLOY).id
    except WorkflowNotFoundError as error:
        raise InvalidError.field(field, f"there is no workflow {workflow}") from error


def _told(track: Track) -> dict[str, Any]:
    """Return what the trail keeps of a track."""
    return {
        "name": track.name,
        "description": track.description,
        "tier": track.tier,
        "workflow_id": track.workflow_id,
        "allow_self": track.allow_self,
        "stages": [[stage.name, stage.workflow_id] for stage in track.stages],
    }


def _audit(principal: Principal, deed: str, track: Track, **details: Any) -> None:
    audit(
        principal,
        f"track.{deed}",
        object_type="track",
        object_id=track.id,
        object_name=track.name,
        **details,
    )
