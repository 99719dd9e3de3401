"""Trains: versions that are chosen together, and how far each of them is."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from appliance.accounts.access import actions
from appliance.accounts.model import Action
from appliance.artifacts.identity import digest_of_run
from appliance.artifacts.model import Artifact
from appliance.core.errors import DomainError, InvalidError
from appliance.core.tiers import matches
from appliance.promotions.deeds import MAX_TRAIN, Wanted
from appliance.promotions.model import Promotion, PromotionStatus, Track
from appliance.web.api.promotions import track_of, train_of
from appliance.web.keys import LEDGER, PROMOTIONS, REQUEST_ID
from appliance.web.pages.forms import read_form, see_other
from appliance.web.problems import Problem, problem_of
from appliance.web.render import page
from appliance.web.requests import principal_of, row_id

routes = web.RouteTableDef()
FORM = "pages/promotions/new_train.html"
TRAIN = "pages/promotions/train.html"
#: Stands before the names of controls that choose a version.
PICK = "pick:"
#: Runs of the ledger among which the newest of each server is offered.
LOOKED_AT = 200


@dataclass(frozen=True)
class Offer:
    """A version that may be chosen."""

    #: Number of its artifact, or its digest and its tier: what a line of the form says, too.
    line: str
    name: str
    digest: str
    tier: str
    #: Where on the track it is; empty: nowhere.
    place: str = ""


@routes.get("/governance/tracks/{track}/trains/new")
async def new(request: web.Request) -> web.Response:
    """Show the form of a new train."""
    return page(request, FORM, await _form(request))


@routes.post("/governance/tracks/{track}/trains")
async def schedule(request: web.Request) -> web.Response:
    """Send several versions to a stage, which become active together or not at all."""
    form = await read_form(request)
    try:
        train = await request.app[PROMOTIONS].moves.schedule_train(
            principal_of(request),
            track_of(request),
            form.get("stage", ""),
            _wanted(form),
            name=form.get("name", ""),
        )
    except DomainError as error:
        problem = problem_of(error, request[REQUEST_ID])
        context = {**await _form(request), "values": form, "problem": problem}
        return page(request, FORM, context, status=problem.status)
    return see_other(f"/governance/trains/{train.id}")


def _wanted(form: dict[str, str]) -> list[Wanted]:
    """Return the versions that were chosen, and those that were typed, one a line; each once."""
    picked = [name.removeprefix(PICK) for name in form if name.startswith(PICK)]
    typed = [line.strip() for line in form.get("more", "").splitlines()]
    lines = list(dict.fromkeys(line for line in [*picked, *typed] if line))
    if len(lines) > MAX_TRAIN:
        raise InvalidError.field("versions", f"choose at most {MAX_TRAIN}")
    if not lines:
        raise InvalidError.field("versions", "choose those that shall go together")
    return [_wanted_by(line) for line in lines]


def _wanted_by(line: str) -> Wanted:
    digest, _, tier = line.partition(" ")
    if digest.isdecimal():
        return Wanted(artifact_run_id=row_id(digest) or 0)
    return Wanted(digest, tier.strip())


async def _form(request: web.Request) -> dict[str, Any]:
    principal = principal_of(request)
    view, found = await request.app[PROMOTIONS].tracks.board(
        principal, track_of(request)
    )
    runs = await request.app[LEDGER].history(principal, limit=LOOKED_AT)
    stages = [stage.name for stage in view.track.stages]
    return {
        "track": view.track,
        "stages": stages,
        "offers": offers(view.track, found, runs),
        "pick": PICK,
        "values": {"stage": request.query.get("stage", stages[0] if stages else "")},
        "problem": None,
    }


def offers(track: Track, board: list[Promotion], runs: list[Artifact]) -> list[Offer]:
    """Return what is on the track, and of each server the newest version that was built for it."""
    found: dict[tuple[str, str], Offer] = {}
    for item in board:
        place = f"{item.status.value.replace('_', ' ')} in {item.stage}"
        known = found.get((item.digest, item.tier))
        if known is not None:
            place = f"{known.place}, {place}"
        line = str(item.artifact_run_id or f"{item.digest} {item.tier}")
        found[item.digest, item.tier] = Offer(
            line, item.server_name, item.digest, item.tier, place
        )
    servers = set()
    for artifact in runs:
        digest, tier = digest_of_run(artifact.run), artifact.rating.tier.lower()
        server = artifact.run.server_id
        if digest is None or server in servers or not matches(tier, track.tier):
            continue
        servers.add(server)
        offer = Offer(str(artifact.id), artifact.run.server_name, digest, tier)
        found.setdefault((digest, tier), offer)
    return sorted(found.values(), key=lambda item: (item.name, item.line))


# -- a train


@routes.get(r"/governance/trains/{train:\d+}")
async def show(request: web.Request) -> web.Response:
    """Show a train with what it carries."""
    return await train_page(request, train_of(request))


async def train_page(
    request: web.Request, train_id: int, problem: Problem | None = None
) -> web.Response:
    """Return the page of a train, and what was refused about it."""
    principal, room = principal_of(request), request.app[PROMOTIONS]
    train = await room.moves.train(principal, train_id)
    view = await room.tracks.get(principal, train.track_id)
    members = train.promotions
    states = {item.status for item in members}
    context = {
        "train": train,
        "track": view.track,
        "counts": [
            (status.value, sum(item.status is status for item in members))
            for status in PromotionStatus
            if status in states
        ],
        "held": [item for item in members if item.is_held and item.status.is_open],
        "is_open": any(status.is_open for status in states),
        "waits": bool(states & {PromotionStatus.SCHEDULED, PromotionStatus.IN_PROGRESS}),
        "is_active": states == {PromotionStatus.ACTIVE},
        "may_move": Action.DEPLOY in actions(principal, view.track.thing),
        "problem": problem,
    }  # fmt: skip
    status = problem.status if problem else HTTPStatus.OK
    return page(request, TRAIN, context, status=status)


@routes.post(r"/governance/trains/{train:\d+}/approve")
async def approve(request: web.Request) -> web.Response:
    """Approve all of it that waits for people."""
    return await _move(request, "approve")


@routes.post(r"/governance/trains/{train:\d+}/reject")
async def reject(request: web.Request) -> web.Response:
    """End all of it that is on its way."""
    return await _move(request, "reject")


@routes.post(r"/governance/trains/{train:\d+}/rollback")
async def rollback(request: web.Request) -> web.Response:
    """End all of it that is active."""
    return await _move(request, "rollback")


async def _move(request: web.Request, deed: str) -> web.Response:
    form, number = await read_form(request), train_of(request)
    try:
        await request.app[PROMOTIONS].moves.move_train(
            principal_of(request), number, deed, note=form.get("reason", "")
        )
    except DomainError as error:
        problem = problem_of(error, request[REQUEST_ID])
        return await train_page(request, number, problem)
    return see_other(f"/governance/trains/{number}")
