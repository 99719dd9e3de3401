"""/api/servers/{server}/domains: names of their own for servers, how far they are, and what has to be set for them."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.domains.errors import DomainNotFoundError
from appliance.domains.model import CertificateKind, Proof, Record, Status
from appliance.domains.names import shown
from appliance.domains.service import DomainView, Wish
from appliance.web.api.answer import Answer
from appliance.web.keys import DOMAINS
from appliance.web.paging import one_page
from appliance.web.parsing import Input, json_answer
from appliance.web.requests import path_id, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("domains")
MAX_ID = 2**63 - 1
_ONE = "/api/servers/{server}/domains/{domain_id}"


class DomainBody(Input):
    """A name to claim."""

    host: str = Field(
        max_length=300,
        description="Such as `mcp.example.org`, or `*.example.org` for every name right below it; without scheme, port and "
        "path. International names in their own letters or as A-labels.",
    )
    trusted: bool = Field(
        default=False,
        description="For administrators: served without asking DNS whose it is, as for names inside a company.",
    )


class DomainChange(Input):
    """What a domain shall do."""

    redirect_to: str | None = Field(
        None,
        max_length=300,
        description="Another domain of the server, where visitors are sent on to (308, same path and query); null: it serves "
        "the server itself.",
    )
    certificate: CertificateKind | None = Field(
        None, description="Where its certificate comes from; null: as it is."
    )


class DomainQuery(Input):
    """Which of them to list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: int = Field(0, ge=0, le=MAX_ID, description="`next_cursor` of the page before.")  # fmt: skip


class RecordAnswer(Answer):
    """A record to set at whoever keeps the zone."""

    type: str = Field(description="`A`, `AAAA` or `TXT`.")
    name: str
    value: str
    purpose: str

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return the answer for a record."""
        return cls.model_validate(record, from_attributes=True)


class HeldAnswer(Answer):
    """The certificate that a name has, or waits for."""

    issuer: str = Field(description="Empty: none has come yet.")
    not_after: datetime | None
    renew_at: datetime | None
    next_attempt_at: datetime | None = Field(
        description="When it is tried again; null: nothing failed."
    )


class DomainAnswer(Answer):
    """One domain."""

    id: int
    server_id: int
    server: str
    host: str = Field(description="As DNS has it.")
    name: str = Field(description="In its own letters.")
    url: str = Field(description="The endpoint under it; empty for a wildcard.")
    redirect_to: str | None
    status: Status = Field(
        description="`pending`: DNS does not show yet whose it is; `issuing`: served, its certificate is on its way; `active`; "
        "`error`: somebody has to do something."
    )
    reason: str = Field(description="What is missing, with the next step; or a warning.")  # fmt: skip
    found: str = Field(description="What the last check saw in DNS.")
    records: Sequence[RecordAnswer] = Field(
        description="To set in DNS, the one that is needed first. Unless `needs_txt`, the addresses or the `TXT` record are "
        "enough to show whose the name is."
    )
    needs_txt: bool = Field(description="Whether only the `TXT` record shows it.")
    verified_by: Proof | None
    verified_at: datetime | None
    certificate: CertificateKind
    certificate_id: int | None
    held: HeldAnswer | None = Field(
        description="Null: the box's own authority serves, and nothing else is on its way."
    )
    checked_at: datetime | None
    next_check_at: datetime | None
    away_since: datetime | None = Field(
        description="Since when DNS leads visitors of a name that is served elsewhere."
    )
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, view: DomainView) -> Self:
        """Return the answer for a domain."""
        item = view.domain
        return cls(
            id=item.id,
            server_id=item.server_id,
            server=item.server_name,
            host=item.host,
            name=shown(item.host),
            url=view.url,
            redirect_to=item.redirect_to,
            status=item.status,
            reason=item.reason,
            found=item.found,
            records=[RecordAnswer.of(record) for record in view.records],
            needs_txt=bool(item.txt_because),
            verified_by=item.verified_by,
            verified_at=item.verified_at,
            certificate=item.certificate_kind,
            certificate_id=item.certificate_id,
            held=None
            if item.certificate is None
            else HeldAnswer.model_validate(item.certificate, from_attributes=True),
            checked_at=item.checked_at,
            next_check_at=item.next_check_at,
            away_since=item.away_since,
            created_by=item.created_by,
            created_at=item.created_at,
        )


class ServerDomains(Answer):
    """The domains of a server."""

    items: Sequence[DomainAnswer]


class DomainPage(Answer):
    """Domains of many servers."""

    items: Sequence[DomainAnswer]
    next_cursor: int | None = Field(description="`cursor` for the next page; null on the last.")  # fmt: skip


@routes.get("/api/domains", summary="List domains")
async def every(request: web.Request, *, query: DomainQuery) -> DomainPage:
    """Those of all servers that one may see, oldest first."""
    found = await request.app[DOMAINS].all(
        principal_of(request), limit=query.limit + 1, after=query.cursor
    )
    items, last = one_page(found, query.limit)
    return DomainPage(
        items=[DomainAnswer.of(item) for item in items],
        next_cursor=last.domain.id if last else None,
    )


@routes.get("/api/servers/{server}/domains", summary="List a server's domains")
async def of_server(request: web.Request) -> ServerDomains:
    """Oldest first: the first that is active is the address that clients are told of."""
    found = await request.app[DOMAINS].of_server(
        principal_of(request), server_of(request)
    )
    return ServerDomains(items=[DomainAnswer.of(item) for item in found])


@routes.post(
    "/api/servers/{server}/domains",
    summary="Add a domain to a server",
    status=HTTPStatus.CREATED,
    answer=DomainAnswer,
    errors=(HTTPStatus.CONFLICT,),
)
async def add(request: web.Request, *, body: DomainBody) -> web.Response:
    """Claim a name. The answer says which record to set; it is looked for at once, and again by itself.

    409 (`domain_taken`) where the name is another server's already; it does not say whose.
    """
    found = await request.app[DOMAINS].add(
        principal_of(request),
        server_of(request),
        body.host,
        is_trusted=body.trusted,
    )
    return json_answer(DomainAnswer.of(found), status=HTTPStatus.CREATED)


@routes.get(_ONE, summary="Show a domain")
async def show(request: web.Request) -> DomainAnswer:
    """With what has to be set for it, and what was found instead."""
    found = await request.app[DOMAINS].get(
        principal_of(request), server_of(request), _number(request)
    )
    return DomainAnswer.of(found)


@routes.put(_ONE, summary="Change a domain")
async def change(request: web.Request, *, body: DomainChange) -> DomainAnswer:
    """Have it send visitors on to another domain of the server, or serve them; counts at once."""
    found = await request.app[DOMAINS].change(
        principal_of(request),
        server_of(request),
        _number(request),
        Wish(body.redirect_to, body.certificate),
    )
    return DomainAnswer.of(found)


@routes.delete(
    _ONE,
    summary="Remove a domain",
    status=HTTPStatus.NO_CONTENT,
    errors=(HTTPStatus.CONFLICT,),
)
async def remove(request: web.Request) -> None:
    """Give the name up: it leads nowhere from now on. 409 while another domain sends its visitors there."""
    await request.app[DOMAINS].remove(
        principal_of(request), server_of(request), _number(request)
    )


@routes.post(
    f"{_ONE}/check",
    summary="Check a domain now",
    status=HTTPStatus.ACCEPTED,
    answer=DomainAnswer,
    errors=(HTTPStatus.CONFLICT,),
)
async def check(request: web.Request) -> web.Response:
    """Ask DNS now, whenever its next turn would be. What was found is there some moments later."""
    found = await request.app[DOMAINS].check(
        principal_of(request), server_of(request), _number(request)
    )
    return json_answer(DomainAnswer.of(found), status=HTTPStatus.ACCEPTED)


def _number(request: web.Request) -> int:
    return path_id(request, "domain_id", "There is no domain {}.", DomainNotFoundError)
