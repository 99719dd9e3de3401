"""What people change of a server's source from its configuration page: its archive, and the way into its repository."""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from appliance.core.errors import DomainError
from appliance.servers.service import ServerView
from appliance.web.keys import SOURCES
from appliance.web.pages.forms import (
    read_file_form,
    read_form,
    reads_own_form,
    refused,
    see_other,
)
from appliance.web.pages.servers import config_context
from appliance.web.requests import principal_of, server_of
from appliance.web.words import server_path

routes = web.RouteTableDef()
CONFIG = "pages/servers/config.html"


@routes.post("/servers/{server}/archive")
@reads_own_form
async def replace(request: web.Request) -> web.Response:
    """Take a new archive, and show the build of it."""
    context = await config_context(request)
    brought: list[ServerView] = []

    async def receive(filename: str, chunks: AsyncIterator[bytes]) -> dict[str, str]:
        sources, principal = request.app[SOURCES], principal_of(request)
        brought.append(
            await sources.replace_archive(
                principal, server_of(request), filename, chunks
            )
        )
        return {}

    _, problem = await read_file_form(request, receive)
    if problem:
        return _refused(request, problem, context)
    if not brought:
        return see_other(f"{server_path(context['view'].server)}/config")
    return see_other(f"{server_path(brought[0].server)}/build")


@routes.post("/servers/{server}/credential")
async def set_credential(request: web.Request) -> web.Response:
    """Set or forget with what the repository is fetched."""
    context, form = await config_context(request), await read_form(request)
    sources, who, which = (
        request.app[SOURCES],
        principal_of(request),
        server_of(request),
    )
    token, key = form.get("git_token", "").strip(), form.get("deploy_key", "").strip()
    try:
        if form.get("action") == "remove":
            await sources.remove_credential(who, which)
        else:
            await sources.set_credential(
                who,
                which,
                token=SecretStr(token) if token else None,
                user=form.get("git_user", "").strip() or None,
                deploy_key=SecretStr(key) if key else None,
            )
    except DomainError as error:
        return _refused(request, error, context)
    return see_other(f"{server_path(context['view'].server)}/config")


def _refused(
    request: web.Request, error: DomainError, context: dict[str, Any]
) -> web.Response:
    return refused(request, CONFIG, error, form=context["values"], context=context)
