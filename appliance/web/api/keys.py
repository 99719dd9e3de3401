"""/api/keys: API keys for programs."""

from datetime import timedelta
from http import HTTPStatus

from aiohttp import web

from appliance.accounts.key_making import MadeKey
from appliance.accounts.model import NewKey
from appliance.core.clock import now
from appliance.web.api.key_bodies import (
    KeyAnswer,
    KeyLimitsBody,
    KeyList,
    KeyQuery,
    NewKeyAnswer,
    NewKeyBody,
    RotationBody,
)
from appliance.web.key_scopes import read_scope
from appliance.web.keys import ACCOUNTS
from appliance.web.requests import named, principal_of
from appliance.web.routes import Routes

routes = Routes("keys")
KEY = "/api/keys/{key_id:[0-9]{1,18}}"


@routes.get("/api/keys", summary="List API keys")
async def index(request: web.Request, *, query: KeyQuery) -> KeyList:
    """Keys that were not revoked: one's own, or those that act for an organisation."""
    found = await request.app[ACCOUNTS].keys.list(
        principal_of(request), named(query.org) if query.org else None
    )
    return KeyList(items=[KeyAnswer.of(key) for key in found])


@routes.post("/api/keys", summary="Make an API key", status=HTTPStatus.CREATED)
async def create(request: web.Request, *, body: NewKeyBody) -> NewKeyAnswer:
    """Make a key that does what its holder may do, or less; the answer shows it, this once."""
    days = body.expires_in_days
    wanted = NewKey(
        body.name,
        expires_at=now() + timedelta(days=days) if days else None,
        limits=body.limits.as_model(),
        scope=await read_scope(request, body.role, body.actions, body.servers),
        org=named(body.org) if body.org else None,
        org_role=body.org_role,
    )
    return _shown(
        await request.app[ACCOUNTS].keys.create(principal_of(request), wanted)
    )


@routes.put(f"{KEY}/limits", summary="Limit an API key")
async def limit(request: web.Request, *, body: KeyLimitsBody) -> KeyAnswer:
    """Set how much a key may ask of the gateway; holds within two seconds."""
    changed = await request.app[ACCOUNTS].keys.limit(
        principal_of(request), _key_id(request), body.as_model()
    )
    return KeyAnswer.of(changed)


@routes.post(
    f"{KEY}/rotate",
    summary="Replace an API key",
    status=HTTPStatus.CREATED,
    errors=(HTTPStatus.CONFLICT,),
)
async def rotate(request: web.Request, *, body: RotationBody) -> NewKeyAnswer:
    """Make a key that may do the same; the old one works on for a while, so that nothing that uses it fails meanwhile."""
    made = await request.app[ACCOUNTS].keys.rotate(
        principal_of(request),
        _key_id(request),
        overlap=timedelta(hours=body.overlap_hours),
    )
    return _shown(made)


@routes.delete(KEY, summary="Revoke an API key", status=HTTPStatus.NO_CONTENT)
async def revoke(request: web.Request) -> None:
    """Stop a key from working, at once and for good."""
    await request.app[ACCOUNTS].keys.revoke(principal_of(request), _key_id(request))


def _key_id(request: web.Request) -> int:
    return int(request.match_info["key_id"])


def _shown(made: MadeKey) -> NewKeyAnswer:
    return NewKeyAnswer(**KeyAnswer.of(made.key).model_dump(), key=made.shown)
