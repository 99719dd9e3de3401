"""/api/servers/…/transfer and /api/bundles/…/transfer: giving something to somebody else."""

from http import HTTPStatus

from aiohttp import web

from appliance.accounts.orgs.model import Transferred
from appliance.web.api.org_bodies import OwnerAnswer, TransferAnswer, TransferBody
from appliance.web.keys import BUNDLES, TRANSFERS
from appliance.web.requests import bundle_of, named, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("transfers")


@routes.post(
    "/api/servers/{server}/transfer",
    summary="Transfer a server",
    errors=(HTTPStatus.CONFLICT,),
)
async def server(request: web.Request, *, body: TransferBody) -> TransferAnswer:
    """Give a server to an organisation, to oneself or, as an administrator, to anybody. It goes on running.

    Its endpoint key, secrets, files and history go with it: make a new endpoint key if those who know it shall not call it
    any more. Transferring back undoes it.
    """
    done = await request.app[TRANSFERS].transfer(
        principal_of(request),
        server_of(request),
        org=named(body.org) if body.org else None,
        email=body.user.strip(),
    )
    return _answer(done)


@routes.post("/api/bundles/{bundle}/transfer", summary="Transfer a bundle")
async def bundle(request: web.Request, *, body: TransferBody) -> TransferAnswer:
    """Give a bundle to an organisation, to oneself or, as an administrator, to anybody. Transferring back undoes it.

    Members that its new owner may not call are left out until the bundle is transferred back.
    """
    done = await request.app[BUNDLES].transfer(
        principal_of(request),
        bundle_of(request),
        org=named(body.org) if body.org else None,
        email=body.user.strip(),
    )
    return _answer(done)


def _answer(done: Transferred) -> TransferAnswer:
    return TransferAnswer(
        before=OwnerAnswer.of(done.before), after=OwnerAnswer.of(done.after)
    )
