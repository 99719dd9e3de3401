"""What a key shall be narrowed to, as callers and forms name it."""

from collections.abc import Sequence
from enum import StrEnum

from aiohttp import web

from appliance.accounts.key_scopes import READER, scope_of
from appliance.accounts.model import Action, Scope
from appliance.core.errors import InvalidError, NotFoundError
from appliance.web.keys import SERVERS
from appliance.web.requests import named, principal_of


class KeyRole(StrEnum):
    """What a key is, in one word."""

    ADMIN = "admin"
    READER = "reader"


async def read_scope(
    request: web.Request,
    role: KeyRole,
    actions: Sequence[Action] | None,
    servers: Sequence[str] | None,
) -> Scope | None:
    """Return the scope that is meant.

    Raises:
        InvalidError: There is no such server, or both a role and actions narrow it.
    """
    if role is KeyRole.READER:
        if actions is not None:
            raise InvalidError.field(
                "actions", "a reader only sees: give either the role or actions"
            )
        actions = sorted(READER.actions or ())
    numbers = None if servers is None else [await _number(request, item) for item in servers]  # fmt: skip
    return scope_of(actions, numbers)


async def _number(request: web.Request, server: str) -> int:
    try:
        view = await request.app[SERVERS].get(principal_of(request), named(server))
    except NotFoundError as error:
        raise InvalidError.field("servers", f"there is no server {server}") from error
    return view.server.id
