"""/api/audit: every write and every denied attempt, who did it and what became of it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import Field

from appliance.accounts.access import BOX, require_known
from appliance.accounts.model import Action
from appliance.observability.audit_chain import as_json, canonical, place_of
from appliance.observability.model import AuditFilter, Outcome
from appliance.web.api.answer import Answer
from appliance.web.keys import AUDIT
from appliance.web.paging import one_page
from appliance.web.parsing import Input, Moment
from appliance.web.requests import move_time_limit, principal_of
from appliance.web.routes import Routes

routes = Routes("audit")
MAX_ID = 2**63 - 1
#: Seconds that a check of the whole chain, or its export, may take.
VERIFY_S = 600.0
JSON_LINES = "application/jsonl"


class AuditFilterQuery(Input):
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
    outcome: Outcome | None = Field(None)
    since: Moment | None = Field(
        None, description="From this moment on, with its time zone."
    )
    until: Moment | None = Field(None, description="Before this moment.")
    q: str | None = Field(
        None,
        max_length=200,
        description="Part of who, what, on what, why, from where, the request's id, or of what changed; in any case.",
    )

    def filter(self) -> AuditFilter:
        """Return what is asked for."""
        return AuditFilter(
            actor=self.actor,
            action=self.action,
            object_type=self.object_type,
            object_id=self.object_id,
            outcome=self.outcome,
            since=self.since,
            until=self.until,
            text=self.q,
        )


class AuditQuery(AuditFilterQuery):
    """Which lines, and how many of them."""

    cursor: int | None = Field(
        None, ge=0, le=MAX_ID, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Lines a page.")


class AuditAnswer(Answer):
    """One write, or one attempt at it."""

    id: int
    at: datetime
    actor_id: int | None
    actor: str
    via: str = Field(
        description="What they showed: session, api_key, token, system; `none`: nothing that is known."
    )
    credential_id: int | None
    action: str
    object_type: str
    object_id: int | None
    object_name: str
    outcome: Outcome
    request_id: str
    address: str
    reason: str = Field(description="Why, as `X-Audit-Reason` said.")
    details: dict[str, Any]
    before: dict[str, Any] | None = Field(description="What changed, as it was.")
    after: dict[str, Any] | None = Field(description="What changed, as it is.")
    seq: int | None = Field(
        description="Its place in the chain; null in its first seconds."
    )
    prev_hash: str | None
    row_hash: str | None


class AuditPage(Answer):
    """Some lines, newest first."""

    items: list[AuditAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class AuditChainQuery(Input):
    """What the chain is compared with."""

    known: str | None = Field(
        None,
        max_length=100,
        description="`known` of an earlier answer: the chain must still go through there.",
    )


class AuditBreakAnswer(Answer):
    """A place where the chain does not hold."""

    seq: int
    what: str = Field(description="changed, missing, unlinked or unknown.")
    message: str


class AuditChainAnswer(Answer):
    """What a check of the chain found."""

    is_intact: bool
    lines: int = Field(description="Lines that were compared.")
    known: str = Field(
        description="The end of the chain, to be kept elsewhere and given to a later check."
    )
    begins_after: str = Field(
        description="The last line that was old enough to be removed."
    )
    breaks: list[AuditBreakAnswer]
    checked_at: datetime


@routes.get(
    "/api/audit", summary="Show the audit trail", errors=(HTTPStatus.FORBIDDEN,)
)
async def index(request: web.Request, *, query: AuditQuery) -> AuditPage:
    """Lines of the audit trail, newest first; for administrators and readers of the box."""
    require_known(principal_of(request), Action.SEE, BOX)
    found = await request.app[AUDIT].list(
        before=query.cursor, limit=query.limit + 1, **vars(query.filter())
    )
    shown, last = one_page(found, query.limit)
    items = [AuditAnswer.model_validate(item, from_attributes=True) for item in shown]
    return AuditPage(items=items, next_cursor=last.id if last else None)


@routes.get(
    "/api/audit/chain",
    summary="Check the audit trail",
    errors=(HTTPStatus.FORBIDDEN,),
)
async def chain(request: web.Request, *, query: AuditChainQuery) -> AuditChainAnswer:
    """Compare every line with its hash; for administrators and readers of the box."""
    require_known(principal_of(request), Action.SEE, BOX)
    known = place_of(query.known) if query.known else None
    move_time_limit(request, VERIFY_S)
    report = await request.app[AUDIT].verify(known)
    return AuditChainAnswer(
        is_intact=report.is_intact,
        lines=report.lines,
        known=str(report.end),
        begins_after=str(report.pruned),
        breaks=[
            AuditBreakAnswer.model_validate(item, from_attributes=True)
            for item in report.breaks
        ],
        checked_at=report.checked_at,
    )


@routes.get(
    "/api/audit/export",
    summary="Export the audit trail",
    content=JSON_LINES,
    errors=(HTTPStatus.FORBIDDEN,),
)
async def export(
    request: web.Request, *, query: AuditFilterQuery
) -> web.StreamResponse:
    """Lines of the audit trail as JSON lines, oldest first, with their hashes; for administrators and readers of the box."""
    require_known(principal_of(request), Action.SEE, BOX)
    return await send_lines(request, query.filter())


async def send_lines(request: web.Request, wanted: AuditFilter) -> web.StreamResponse:
    """Answer with the lines, read and sent a few hundred at a time."""
    move_time_limit(request, VERIFY_S)
    response = web.StreamResponse(
        headers={
            "Content-Type": JSON_LINES,
            "Content-Disposition": 'attachment; filename="audit.jsonl"',
            "Cache-Control": "no-store",
        }
    )
    async with aclosing(_lines(request, wanted)) as lines:
        # Read before anything is sent, so that a refusal is still one.
        first = await anext(lines, b"")
        await response.prepare(request)
        await response.write(first)
        async for line in lines:
            await response.write(line)
    await response.write_eof()
    return response


async def _lines(request: web.Request, wanted: AuditFilter) -> AsyncGenerator[bytes]:
    async for event in request.app[AUDIT].export(wanted):
        yield canonical(as_json(event) | {"row_hash": event.row_hash}) + b"\n"
