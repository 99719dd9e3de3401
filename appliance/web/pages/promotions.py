"""Tracks, their boards, and what became of promotions."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from appliance.accounts.access import actions
from appliance.accounts.model import Action
from appliance.core.errors import DomainError, InvalidError
from appliance.promotions.deeds import Wanted
from appliance.promotions.model import NewStage, NewTrack, PromotionStatus
from appliance.promotions.tracks import TrackView
from appliance.web.api.promotions import promotion_of, track_of
from appliance.web.keys import GOVERNANCE, PROMOTIONS, REQUEST_ID
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.trains import train_page
from appliance.web.pages.transfers import owners
from appliance.web.paging import one_page
from appliance.web.problems import problem_of
from appliance.web.render import page
from appliance.web.requests import named, principal_of, row_id

routes = web.RouteTableDef()
PAGE_SIZE = 50
EDITOR = "pages/promotions/editor.html"
BOARD = "pages/promotions/board.html"
BASE = "/governance/tracks"


@routes.get(BASE)
async def index(request: web.Request) -> web.Response:
    """Show the tracks."""
    after = request.query.get("after", "")[:100]
    views = await request.app[PROMOTIONS].tracks.page(
        principal_of(request), after=after, limit=PAGE_SIZE + 1
    )
    rows, last = one_page(views, PAGE_SIZE)
    context = {
        "rows": rows,
        "first_url": BASE if after else "",
        "next_url": f"{BASE}?after={last.track.name}" if last else "",
    }
    return page(request, "pages/promotions/tracks.html", context)


@routes.get(f"{BASE}/new")
async def new(request: web.Request) -> web.Response:
    """Show the form of a new track."""
    return page(request, EDITOR, await _editor(request, _values(None)))


@routes.post(f"{BASE}/new")
async def create(request: web.Request) -> web.Response:
    """Make a track."""
    form = await read_form(request)
    try:
        view = await request.app[PROMOTIONS].tracks.create(
            principal_of(request), _new_track(form)
        )
    except DomainError as error:
        values = {**_values(None), **form}
        context = await _editor(request, values)
        return refused(request, EDITOR, error, form=values, context=context)
    return see_other(f"{BASE}/{view.track.name}")


@routes.get(f"{BASE}/{{track}}/settings")
async def settings(request: web.Request) -> web.Response:
    """Show a track in its form."""
    view = await _track(request)
    return page(request, EDITOR, await _editor(request, _values(view), view))


@routes.post(f"{BASE}/{{track}}/settings")
async def change(request: web.Request) -> web.Response:
    """Change a track."""
    form, view = await read_form(request), await _track(request)
    try:
        changed = await request.app[PROMOTIONS].tracks.change(
            principal_of(request),
            view.track.id,
            _new_track(form),
            version=row_id(form.get("version", "")),
        )
    except DomainError as error:
        values = {**_values(view), **form}
        context = await _editor(request, values, view)
        return refused(request, EDITOR, error, form=values, context=context)
    return see_other(f"{BASE}/{changed.track.name}")


@routes.post(f"{BASE}/{{track}}/delete")
async def delete(request: web.Request) -> web.Response:
    """Remove a track."""
    await request.app[PROMOTIONS].tracks.delete(
        principal_of(request), track_of(request)
    )
    return see_other(BASE)


# -- the board


@routes.get(f"{BASE}/{{track}}")
async def board(request: web.Request) -> web.Response:
    """Show a track: stages as columns, what is in them or on its way there as cards."""
    return page(request, BOARD, await _board(request, track_of(request)))


async def _board(request: web.Request, track: int | str) -> dict[str, Any]:
    principal = principal_of(request)
    view, found = await request.app[PROMOTIONS].tracks.board(principal, track)
    allowed = actions(principal, view.track.thing)
    names = [stage.name for stage in view.track.stages]
    return {
        "view": view,
        "track": view.track,
        "columns": [
            (name, [item for item in found if item.stage == name]) for name in names
        ],
        "next_stage": dict(itertools.pairwise(names)),
        "on_board": {(item.stage, item.digest, item.tier) for item in found},
        "may_move": Action.DEPLOY in allowed,
        "may_change": Action.CHANGE in allowed,
        "may_delete": Action.DELETE in allowed,
        "values": {
            "stage": request.query.get("stage", names[0] if names else ""),
            "manifest_digest": request.query.get("digest", "")[:100],
            "tier": request.query.get("tier", "")[:100],
        },
        "errors": {},
        "problem": None,
    }


@routes.post(f"{BASE}/{{track}}/schedule")
async def schedule(request: web.Request) -> web.Response:
    """Send a digest on its way to a stage."""
    form, track = await read_form(request), track_of(request)
    wanted = Wanted(
        form.get("manifest_digest", "").strip(),
        form.get("tier", "").strip(),
        row_id(form.get("artifact_run_id", "").strip()),
    )
    try:
        await request.app[PROMOTIONS].moves.schedule(
            principal_of(request), track, form.get("stage", ""), wanted
        )
    except DomainError as error:
        context = await _board(request, track)
        return refused(request, BOARD, error, form=form, context=context)
    return see_other(f"{BASE}/{request.match_info['track']}")


@routes.post(r"/governance/promotions/{promotion:\d+}/approve")
async def approve(request: web.Request) -> web.Response:
    """Approve a promotion."""
    moves, who = request.app[PROMOTIONS].moves, principal_of(request)
    return await _move(
        request, lambda number, said: moves.approve(who, number, comment=said)
    )


@routes.post(r"/governance/promotions/{promotion:\d+}/reject")
async def reject(request: web.Request) -> web.Response:
    """End a promotion that is on its way."""
    moves, who = request.app[PROMOTIONS].moves, principal_of(request)
    return await _move(
        request, lambda number, said: moves.reject(who, number, reason=said)
    )


@routes.post(r"/governance/promotions/{promotion:\d+}/hold")
async def hold(request: web.Request) -> web.Response:
    """Keep a promotion from becoming active."""
    moves, who = request.app[PROMOTIONS].moves, principal_of(request)
    return await _move(
        request, lambda number, said: moves.hold(who, number, reason=said)
    )


@routes.post(r"/governance/promotions/{promotion:\d+}/release")
async def release(request: web.Request) -> web.Response:
    """Let a held promotion go on."""
    moves, who = request.app[PROMOTIONS].moves, principal_of(request)
    return await _move(request, lambda number, _: moves.release(who, number))


@routes.post(r"/governance/promotions/{promotion:\d+}/rollback")
async def rollback(request: web.Request) -> web.Response:
    """End an active promotion, and bring back what was before it."""
    moves, who = request.app[PROMOTIONS].moves, principal_of(request)
    return await _move(
        request, lambda number, said: moves.roll_back(who, number, reason=said)
    )


async def _move(
    request: web.Request, move: Callable[[int, str], Awaitable[Any]]
) -> web.Response:
    form, number = await read_form(request), promotion_of(request)
    view = await request.app[PROMOTIONS].moves.get(principal_of(request), number)
    train_id = view.promotion.train_id if form.get("from") == "train" else None
    try:
        await move(number, form.get("reason", ""))
    except DomainError as error:
        problem = problem_of(error, request[REQUEST_ID])
        if train_id is not None:
            return await train_page(request, train_id, problem)
        context = await _board(request, view.promotion.track_id)
        context["problem"] = problem
        return page(request, BOARD, context, status=problem.status)
    if train_id is not None:
        return see_other(f"/governance/trains/{train_id}")
    return see_other(f"{BASE}/{view.promotion.track}")


@routes.get("/governance/history")
async def history(request: web.Request) -> web.Response:
    """Show what became of promotions, newest first."""
    query = request.query
    track, digest = query.get("track", "")[:100], query.get("digest", "")[:100]
    status = member(PromotionStatus, query.get("status", ""))
    before = row_id(query.get("before", ""))
    found = await request.app[PROMOTIONS].moves.history(
        principal_of(request),
        track=named(track) if track else None,
        digest=digest,
        status=status,
        before=before,
        limit=PAGE_SIZE + 1,
    )
    rows, last = one_page(found, PAGE_SIZE)
    values = {
        "track": track,
        "digest": digest,
        "status": status.value if status else "",
    }
    given = "&".join(f"{name}={value}" for name, value in values.items() if value)
    here = f"/governance/history?{given}"
    context = {
        "rows": rows,
        "values": values,
        "statuses": list(PromotionStatus),
        "first_url": here.rstrip("?") if before else "",
        "next_url": f"{here}&before={last.promotion.id}" if last else "",
    }
    return page(request, "pages/promotions/history.html", context)


# -- the form


async def _track(request: web.Request) -> TrackView:
    return await request.app[PROMOTIONS].tracks.get(
        principal_of(request), track_of(request)
    )


def _values(view: TrackView | None) -> dict[str, str]:
    if view is None:
        return {
            "name": "",
            "description": "",
            "tier": "*",
            "stages": "staging\nproduction",
            "workflow": "",
            "allow_self": "",
            "org": "",
        }
    track, names = view.track, view.workflows
    stages = [
        f"{stage.name}: {names.get(stage.workflow_id, '')}"
        if stage.workflow_id
        else stage.name
        for stage in track.stages
    ]
    return {
        "name": track.name,
        "description": track.description,
        "tier": track.tier,
        "stages": "\n".join(stages),
        "workflow": names.get(track.workflow_id or 0, ""),
        "allow_self": "on" if track.allow_self else "",
        "version": str(track.version),
    }


def _new_track(form: dict[str, str]) -> NewTrack:
    stages = []
    for line in form.get("stages", "").splitlines():
        name, _, workflow = (part.strip() for part in line.partition(":"))
        if name:
            stages.append(NewStage(name, workflow or None))
    if len(form.get("stages", "")) > 10_000:  # noqa: PLR2004 - twelve short lines
        raise InvalidError.field("stages", "is too long")
    return NewTrack(
        name=form.get("name", "").strip(),
        stages=tuple(stages),
        description=form.get("description", "").strip(),
        tier=form.get("tier", "").strip().lower() or "*",
        workflow=form.get("workflow") or None,
        allow_self=form.get("allow_self") == "on",
        org=form.get("org") or None,
    )


async def _editor(
    request: web.Request, values: dict[str, str], view: TrackView | None = None
) -> dict[str, Any]:
    principal = principal_of(request)
    found = await request.app[GOVERNANCE].workflows.page(principal, limit=200)
    offered = [item.workflow.name for item in found]
    if values.get("workflow") and values["workflow"] not in offered:
        offered.append(values["workflow"])
    return {
        "view": view,
        "values": values,
        "workflows": [
            ("", "None: people approve promotions"),
            *((name, name) for name in offered),
        ],
        "owners": [] if view else await owners(request),
        "errors": {},
        "problem": None,
    }
