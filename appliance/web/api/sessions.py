"""/api/sessions: the browsers that one is signed in with."""

from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from pydantic import Field

from appliance.web.api.answer import Answer
from appliance.web.keys import ACCOUNTS
from appliance.web.requests import principal_of
from appliance.web.routes import Routes

routes = Routes("sessions")


class SessionAnswer(Answer):
    """A browser that somebody is signed in with."""

    id: int
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool = Field(description="Whether it is the one that asks.")


class SessionList(Answer):
    """Open sessions, the one used last first."""

    items: list[SessionAnswer]


@routes.get("/api/sessions", summary="List one's sessions")
async def sessions(request: web.Request) -> SessionList:
    """Browsers that one is signed in with."""
    principal = principal_of(request)
    current = principal.credential_id if principal.via == "session" else None
    found = await request.app[ACCOUNTS].sessions.list(principal)
    return SessionList(
        items=[
            SessionAnswer(
                id=item.id,
                user_agent=item.user_agent,
                created_at=item.created_at,
                last_seen_at=item.last_seen_at,
                expires_at=item.expires_at,
                is_current=item.id == current,
            )
            for item in found
        ]
    )


@routes.delete(
    "/api/sessions/{session_id:[0-9]{1,18}}",
    summary="End a session",
    status=HTTPStatus.NO_CONTENT,
)
async def revoke_session(request: web.Request) -> None:
    """Sign one browser out, wherever it is."""
    await request.app[ACCOUNTS].sessions.end(
        principal_of(request), int(request.match_info["session_id"])
    )


@routes.delete(
    "/api/sessions", summary="End all other sessions", status=HTTPStatus.NO_CONTENT
)
async def revoke_other_sessions(request: web.Request) -> None:
    """Sign every browser out but the one that asks; with an API key, all of them."""
    await request.app[ACCOUNTS].sessions.end_others(principal_of(request))
