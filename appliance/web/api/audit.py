"""/api/audit: every write, who did it and what became of it."""

from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from appliance.observability.model import Outcome
from appliance.web.keys import AUDIT
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import Access
from appliance.web.routes import Routes

routes = Routes("audit")
MAX_ID = 2**63 - 1


class AuditQuery(Input):
    """Which lines."""

    actor: str | None = Field(
        None, max_length=254, description="The e-mail of who did it, or `system`."
    )
    action: str | None = Field(
        None,
        max_length=100,
        description="The action, or its first part such as `server`.",
    )
    object_type: str | None = Field(None, max_length=100)
    object_id: int | None = Field(None, ge=0, le=MAX_ID)
    cursor: int | None = Field(
        None, ge=0, le=MAX_ID, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Lines a page.")


class AuditAnswer(BaseModel):
    """One write, or one attempt at it."""

    id: int
    at: datetime
    actor_id: int | None
    actor: str
    action: str
    object_type: str
    object_id: int | None
    object_name: str
    outcome: Outcome
    request_id: str
    address: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Some lines, newest first."""

    items: list[AuditAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


@routes.get("/api/audit", summary="Show the audit trail", access=Access.ADMIN)
async def index(request: web.Request, *, query: AuditQuery) -> AuditPage:
    """Lines of the audit trail, newest first; for administrators."""
    found = await request.app[AUDIT].list(
        before=query.cursor,
        limit=query.limit + 1,
        actor=query.actor,
        action=query.action,
        object_type=query.object_type,
        object_id=query.object_id,
    )
    shown, last = one_page(found, query.limit)
    items = [AuditAnswer.model_validate(item, from_attributes=True) for item in shown]
    return AuditPage(items=items, next_cursor=last.id if last else None)
