"""/api/servers/{server}/tool-pins, /tool-changes, /tool-decisions: which definitions are approved, and who decides."""

from collections.abc import Collection, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import Field

from appliance.core.errors import InvalidError
from appliance.servers.pinning.findings import Finding, Severity
from appliance.servers.pinning.model import (
    Action,
    Change,
    Decision,
    Kind,
    Pin,
    State,
    What,
)
from appliance.servers.pinning.policy import PinningMode
from appliance.servers.tool_reviews import MAX_REASON, Review, Reviewed
from appliance.web.api.answer import Answer
from appliance.web.keys import TOOL_REVIEWS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("tool-reviews")

MAX_CHOSEN = 10_000


class DecisionBody(Input):
    """What is decided about; neither `changes` nor `tools`: everything that differs."""

    changes: Annotated[list[int], Field(max_length=MAX_CHOSEN)] | None = Field(
        None,
        description="`id`s of changes. One that is not there any more is refused: what is decided about is what was looked at.",
    )
    tools: Annotated[list[str], Field(max_length=MAX_CHOSEN)] | None = Field(
        None, description="Names instead, as they are now."
    )
    reason: str = Field("", max_length=MAX_REASON, description="Why.")


class UndoBody(Input):
    """Why a decision is taken back."""

    reason: str = Field("", max_length=MAX_REASON, description="Why.")


class FindingAnswer(Answer):
    """Something in a definition that a reader would not expect, or not see."""

    severity: Severity
    rule: str = Field(description="Which rule; stable.")
    place: str = Field(description="Such as `inputSchema.properties.path.description`.")
    message: str
    text: str = Field(
        description="What stands there, with invisible characters written out."
    )

    @classmethod
    def all(cls, findings: Sequence[Finding]) -> list[Self]:
        """Return ``findings`` as they are answered."""
        return [cls.model_validate(item, from_attributes=True) for item in findings]


class PinAnswer(Answer):
    """An approved definition."""

    kind: Kind
    name: str = Field(description="Empty for the server's instructions.")
    definition: Any
    hash: str = Field(description="SHA-256 of the definition, however it is written.")
    image: str = Field(
        description="What ran when it was approved; empty for a remote server."
    )
    deployment: int
    approved_by: str
    approved_at: datetime
    findings: list[FindingAnswer]

    @classmethod
    def of(cls, entry: Reviewed[Pin]) -> Self:
        """Return ``entry`` as it is answered."""
        pin = entry.item
        return cls(
            kind=pin.kind,
            name=pin.name,
            definition=pin.value,
            hash=pin.hash,
            image=pin.image,
            deployment=pin.deployment,
            approved_by=pin.approved_by,
            approved_at=pin.approved_at,
            findings=FindingAnswer.all(entry.findings),
        )


class PinsAnswer(Answer):
    """What is approved of a server."""

    mode: PinningMode = Field(
        description="What is done about other definitions: `serve`, `warn` or `quarantine`."
    )
    since: datetime | None = Field(description="When the oldest of them was approved.")
    items: list[PinAnswer]


class ChangeAnswer(Answer):
    """A definition that is not what was approved."""

    id: int
    what: What
    kind: Kind
    name: str
    renamed_from: str = Field(description="Its approved name; empty otherwise.")
    before: Any = Field(description="What was approved; null when it is new.")
    after: Any = Field(description="What it is now; null when it is gone.")
    hash: str = Field(description="Of `after`; empty when it is gone.")
    state: State
    is_held: bool = Field(description="Whether clients do not get it.")
    deployment: int = Field(description="Which said so first.")
    found_at: datetime
    decided_by: str
    decided_at: datetime | None
    reason: str
    findings: list[FindingAnswer]

    @classmethod
    def of(cls, entry: Reviewed[Change]) -> Self:
        """Return ``entry`` as it is answered."""
        item, told = entry.item, entry.item.difference
        return cls(
            id=item.id,
            what=told.what,
            kind=told.kind,
            name=told.name,
            renamed_from=told.renamed_from,
            before=told.before,
            after=told.after,
            hash=told.hash,
            state=item.state,
            is_held=item.is_held,
            deployment=item.deployment,
            found_at=item.found_at,
            decided_by=item.decided_by,
            decided_at=item.decided_at,
            reason=item.reason,
            findings=FindingAnswer.all(entry.findings),
        )


class ChangesAnswer(Answer):
    """What differs from what is approved, and how it stands."""

    mode: PinningMode
    held: list[str] = Field(description="Names of the tools that clients do not get.")
    items: list[ChangeAnswer]

    @classmethod
    def of(cls, review: Review) -> Self:
        """Return what of ``review`` is answered."""
        return cls(
            mode=review.mode,
            held=list(review.held),
            items=[ChangeAnswer.of(entry) for entry in review.changes],
        )


class DecidedAnswer(Answer):
    """What a decision did to one definition."""

    kind: Kind
    name: str
    what: What
    renamed_from: str
    hash: str


class DecisionAnswer(Answer):
    """What somebody decided."""

    id: int
    at: datetime
    actor: str
    action: Action = Field(
        description="`pin`: as the first deployment gave them; `recognise`: a rollback brought back what was approved."
    )
    reason: str
    is_undone: bool
    items: list[DecidedAnswer]

    @classmethod
    def of(cls, item: Decision) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class DecisionsAnswer(Answer):
    """What was decided, newest first."""

    items: list[DecisionAnswer]


@routes.get(
    "/api/servers/{server}/tool-pins", summary="List a server's approved definitions"
)
async def pins(request: web.Request) -> PinsAnswer:
    """Tools, prompts and instructions as they were approved, with what stands out in their words."""
    review = await request.app[TOOL_REVIEWS].get(
        principal_of(request), server_of(request)
    )
    return PinsAnswer(
        mode=review.mode,
        since=review.since,
        items=[PinAnswer.of(entry) for entry in review.pins],
    )


@routes.get(
    "/api/servers/{server}/tool-changes",
    summary="List what differs from a server's approved definitions",
)
async def changes(request: web.Request) -> ChangesAnswer:
    """What was changed, added, removed or renamed and is not approved, each with both definitions."""
    review = await request.app[TOOL_REVIEWS].get(
        principal_of(request), server_of(request)
    )
    return ChangesAnswer.of(review)


@routes.post(
    "/api/servers/{server}/tool-changes/approve",
    summary="Approve changed definitions",
    errors=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def approve(request: web.Request, *, body: DecisionBody) -> ChangesAnswer:
    """Have them hold from now on; the answer is what is left."""
    reviews = request.app[TOOL_REVIEWS]
    chosen = await _chosen(request, body)
    return ChangesAnswer.of(
        await reviews.approve(
            principal_of(request), server_of(request), chosen, reason=body.reason
        )
    )


@routes.post(
    "/api/servers/{server}/tool-changes/reject",
    summary="Reject changed definitions",
    errors=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def reject(request: web.Request, *, body: DecisionBody) -> ChangesAnswer:
    """Hold tools back, whatever the server's setting is, until they are approved or are again what was approved."""
    reviews = request.app[TOOL_REVIEWS]
    chosen = await _chosen(request, body)
    return ChangesAnswer.of(
        await reviews.reject(
            principal_of(request), server_of(request), chosen, reason=body.reason
        )
    )


async def _chosen(request: web.Request, body: DecisionBody) -> Collection[int] | None:
    if body.tools is None:
        return body.changes
    if body.changes is not None:
        raise InvalidError.field("tools", "give either `changes` or `tools`")
    review = await request.app[TOOL_REVIEWS].get(
        principal_of(request), server_of(request)
    )
    known = {entry.item.difference.name: entry.item.id for entry in review.changes}
    missing = [name for name in body.tools if name not in known]
    if missing:
        raise InvalidError.field("tools", f"nothing differs of {missing[0][:128]}")
    return [known[name] for name in body.tools]


@routes.get(
    "/api/servers/{server}/tool-decisions",
    summary="List what was decided about a server's definitions",
)
async def decisions(request: web.Request) -> DecisionsAnswer:
    """The newest 50."""
    review = await request.app[TOOL_REVIEWS].get(
        principal_of(request), server_of(request)
    )
    return DecisionsAnswer(items=[DecisionAnswer.of(item) for item in review.decisions])


@routes.post(
    "/api/servers/{server}/tool-decisions/{decision:[0-9]{1,18}}/undo",
    summary="Take a decision back",
    errors=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def undo(request: web.Request, *, body: UndoBody) -> ChangesAnswer:
    """Have what an approval or a rejection was about wait again, as long as nobody decided about it later."""
    review = await request.app[TOOL_REVIEWS].undo(
        principal_of(request),
        server_of(request),
        int(request.match_info["decision"]),
        reason=body.reason,
    )
    return ChangesAnswer.of(review)
