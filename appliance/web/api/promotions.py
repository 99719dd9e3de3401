"""/api/promotions: tracks, what moves along them, and trains."""

from http import HTTPStatus

from aiohttp import web

from appliance.promotions.errors import PromotionNotFoundError, TrainNotFoundError
from appliance.promotions.service import PromotionView
from appliance.web.api.promotion_bodies import (
    BoardAnswer,
    NewTrackBody,
    PromotionAnswer,
    PromotionDecisionBody,
    PromotionHistoryQuery,
    PromotionPage,
    PromotionSummary,
    ReasonBody,
    ScheduleBody,
    StageBoard,
    TrackAnswer,
    TrackChangeBody,
    TrackPage,
    TrackQuery,
    TrainAnswer,
    TrainBody,
    TrainReasonBody,
)
from appliance.web.keys import PROMOTIONS
from appliance.web.paging import one_page
from appliance.web.parsing import json_answer
from appliance.web.requests import named, path_id, principal_of
from appliance.web.routes import Routes

routes = Routes("promotions")
CONFLICT = (HTTPStatus.CONFLICT,)
#: Of routes whose query or body names a track.
TRACK_NAMED = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


# -- tracks


@routes.get("/api/promotions/tracks", summary="List tracks")
async def tracks(request: web.Request, *, query: TrackQuery) -> TrackPage:
    """Tracks that the caller may see, by name, with their stages and workflows."""
    views = await request.app[PROMOTIONS].tracks.page(
        principal_of(request), after=query.cursor, limit=query.limit + 1
    )
    shown, last = one_page(views, query.limit)
    return TrackPage(
        items=[TrackAnswer.of(view) for view in shown],
        next_cursor=last.track.name if last else None,
    )


@routes.post(
    "/api/promotions/tracks",
    summary="Make a track",
    status=HTTPStatus.CREATED,
    answer=TrackAnswer,
    errors=CONFLICT,
)
async def create(request: web.Request, *, body: NewTrackBody) -> web.Response:
    """Ordered stages along which versions are promoted."""
    view = await request.app[PROMOTIONS].tracks.create(
        principal_of(request), body.new_track(body.org)
    )
    location = {"Location": f"/api/promotions/tracks/{view.track.id}"}
    answer = TrackAnswer.of(view)
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


@routes.get("/api/promotions/tracks/{track}", summary="Show a track")
async def show(request: web.Request) -> TrackAnswer:
    """One track, by id or name."""
    view = await request.app[PROMOTIONS].tracks.get(
        principal_of(request), track_of(request)
    )
    return TrackAnswer.of(view)


@routes.get("/api/promotions/tracks/{track}/board", summary="Show a track's board")
async def board(request: web.Request) -> BoardAnswer:
    """What is on its way or active, stage by stage."""
    view, found = await request.app[PROMOTIONS].tracks.board(
        principal_of(request), track_of(request)
    )
    stages = [
        StageBoard(
            stage=stage.name,
            promotions=[
                PromotionSummary.of(item) for item in found if item.stage == stage.name
            ],
        )
        for stage in view.track.stages
    ]
    return BoardAnswer(track=TrackAnswer.of(view), stages=stages)


@routes.put("/api/promotions/tracks/{track}", summary="Change a track", errors=CONFLICT)
async def change(request: web.Request, *, body: TrackChangeBody) -> TrackAnswer:
    """Replace all that it says; a stage that something is in, or on its way to, stays."""
    view = await request.app[PROMOTIONS].tracks.change(
        principal_of(request),
        track_of(request),
        body.new_track(),
        version=body.version,
    )
    return TrackAnswer.of(view)


@routes.delete(
    "/api/promotions/tracks/{track}",
    summary="Delete a track",
    status=HTTPStatus.NO_CONTENT,
    errors=CONFLICT,
)
async def delete(request: web.Request) -> None:
    """Remove it with its history, unless something on it is on its way or active."""
    await request.app[PROMOTIONS].tracks.delete(
        principal_of(request), track_of(request)
    )


# -- promotions


@routes.post(
    "/api/promotions/schedule",
    summary="Schedule a promotion",
    status=HTTPStatus.CREATED,
    answer=PromotionAnswer,
    errors=TRACK_NAMED,
)
async def schedule(request: web.Request, *, body: ScheduleBody) -> web.Response:
    """Send a digest on its way to a stage and start what decides about it; a later stage needs it active in the one before."""
    view = await request.app[PROMOTIONS].moves.schedule(
        principal_of(request), named(str(body.track)), body.stage, body.wanted()
    )
    location = {"Location": f"/api/promotions/{view.promotion.id}"}
    answer = PromotionAnswer.of_view(view)
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


@routes.get(
    "/api/promotions/history", summary="List promotions", errors=(HTTPStatus.NOT_FOUND,)
)
async def history(
    request: web.Request, *, query: PromotionHistoryQuery
) -> PromotionPage:
    """Promotions of tracks that the caller may see, newest first."""
    found = await request.app[PROMOTIONS].moves.history(
        principal_of(request),
        track=named(query.track) if query.track else None,
        digest=query.digest,
        status=query.status,
        before=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return PromotionPage(
        items=[PromotionAnswer.of_view(view) for view in shown],
        next_cursor=last.promotion.id if last else None,
    )


@routes.get(r"/api/promotions/{promotion:\d+}", summary="Show a promotion")
async def show_promotion(request: web.Request) -> PromotionAnswer:
    """One promotion with what happened to it."""
    return _answer(
        await request.app[PROMOTIONS].moves.get(
            principal_of(request), promotion_of(request)
        )
    )


@routes.post(
    r"/api/promotions/{promotion:\d+}/approve",
    summary="Approve a promotion",
    errors=CONFLICT,
)
async def approve(
    request: web.Request, *, body: PromotionDecisionBody
) -> PromotionAnswer:
    """Approve the step of its run that waits for people; where no workflow decides, the promotion itself."""
    return _answer(
        await request.app[PROMOTIONS].moves.approve(
            principal_of(request),
            promotion_of(request),
            comment=body.comment,
            version=body.version,
        )
    )


@routes.post(
    r"/api/promotions/{promotion:\d+}/reject",
    summary="Reject a promotion",
    errors=CONFLICT,
)
async def reject(request: web.Request, *, body: ReasonBody) -> PromotionAnswer:
    """End one that is on its way, its run, and all of its train."""
    return _answer(
        await request.app[PROMOTIONS].moves.reject(
            principal_of(request),
            promotion_of(request),
            reason=body.reason,
            version=body.version,
        )
    )


@routes.post(
    r"/api/promotions/{promotion:\d+}/hold",
    summary="Hold a promotion",
    errors=CONFLICT,
)
async def hold(request: web.Request, *, body: ReasonBody) -> PromotionAnswer:
    """Keep one that is on its way from becoming active, until it is released."""
    return _answer(
        await request.app[PROMOTIONS].moves.hold(
            principal_of(request),
            promotion_of(request),
            reason=body.reason,
            version=body.version,
        )
    )


@routes.post(
    r"/api/promotions/{promotion:\d+}/release",
    summary="Release a promotion",
    errors=CONFLICT,
)
async def release(request: web.Request, *, body: ReasonBody) -> PromotionAnswer:
    """Let a held one go on; what was decided meanwhile counts."""
    return _answer(
        await request.app[PROMOTIONS].moves.release(
            principal_of(request), promotion_of(request), version=body.version
        )
    )


@routes.post(
    r"/api/promotions/{promotion:\d+}/rollback",
    summary="Roll a promotion back",
    errors=CONFLICT,
)
async def rollback(request: web.Request, *, body: ReasonBody) -> PromotionAnswer:
    """End an active one, and make active again the digest whose place it took."""
    return _answer(
        await request.app[PROMOTIONS].moves.roll_back(
            principal_of(request),
            promotion_of(request),
            reason=body.reason,
            version=body.version,
        )
    )


# -- trains


@routes.post(
    "/api/promotions/trains",
    summary="Schedule a train",
    status=HTTPStatus.CREATED,
    answer=TrainAnswer,
    errors=TRACK_NAMED,
)
async def schedule_train(request: web.Request, *, body: TrainBody) -> web.Response:
    """Send several digests to a stage; they become active together, or none does."""
    train = await request.app[PROMOTIONS].moves.schedule_train(
        principal_of(request),
        named(str(body.track)),
        body.stage,
        [item.wanted() for item in body.artifacts],
        name=body.name,
    )
    location = {"Location": f"/api/promotions/trains/{train.id}"}
    answer = TrainAnswer.of(train)
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


@routes.get(r"/api/promotions/trains/{train:\d+}", summary="Show a train")
async def show_train(request: web.Request) -> TrainAnswer:
    """One train with its promotions."""
    return TrainAnswer.of(
        await request.app[PROMOTIONS].moves.train(
            principal_of(request), train_of(request)
        )
    )


@routes.post(
    r"/api/promotions/trains/{train:\d+}/approve",
    summary="Approve a train",
    errors=CONFLICT,
)
async def approve_train(request: web.Request, *, body: TrainReasonBody) -> TrainAnswer:
    """Approve every promotion of it that waits for people; all of them, or none."""
    return await _move_train(request, "approve", body)


@routes.post(
    r"/api/promotions/trains/{train:\d+}/reject",
    summary="Reject a train",
    errors=CONFLICT,
)
async def reject_train(request: web.Request, *, body: TrainReasonBody) -> TrainAnswer:
    """End all that is on its way in it."""
    return await _move_train(request, "reject", body)


@routes.post(
    r"/api/promotions/trains/{train:\d+}/rollback",
    summary="Roll a train back",
    errors=CONFLICT,
)
async def rollback_train(request: web.Request, *, body: TrainReasonBody) -> TrainAnswer:
    """Roll back every promotion of it; all of them, or none."""
    return await _move_train(request, "rollback", body)


async def _move_train(
    request: web.Request, deed: str, body: TrainReasonBody
) -> TrainAnswer:
    train = await request.app[PROMOTIONS].moves.move_train(
        principal_of(request), train_of(request), deed, note=body.reason
    )
    return TrainAnswer.of(train)


def _answer(view: PromotionView) -> PromotionAnswer:
    return PromotionAnswer.of_view(view)


def track_of(request: web.Request) -> int | str:
    """Return the track that the path names: digits are an id, anything else is a name."""
    return named(request.match_info["track"])


def promotion_of(request: web.Request) -> int:
    """Return the promotion that the path names."""
    return path_id(
        request, "promotion", "There is no promotion {}.", PromotionNotFoundError
    )


def train_of(request: web.Request) -> int:
    """Return the train that the path names."""
    return path_id(request, "train", "There is no train {}.", TrainNotFoundError)
