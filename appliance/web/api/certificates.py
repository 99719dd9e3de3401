"""/api/certificates: what the front door serves, what is ordered, and the box's own authority. Private keys never come out."""

from datetime import datetime
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.certificates.model import (
    MAX_PEM_BYTES,
    Certificate,
    Event,
    Kind,
    Status,
)
from appliance.certificates.service import MAX_NAMES, Overview
from appliance.core.clock import now
from appliance.web.api.answer import Answer
from appliance.web.keys import CERTIFICATES
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("certificates")
MAX_ID = 2**63 - 1
ONE = "/api/certificates/{certificate_id:[0-9]{1,18}}"
PEM = "application/x-pem-file"
_BUSY = (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)


class CertificateAnswer(Answer):
    """One certificate, without its key."""

    id: int
    names: list[str]
    kind: Kind
    status: Status = Field(
        description="How far it is. What was good is served until something better takes its place."
    )
    is_box: bool = Field(description="Whether it is of the box's own names.")
    issuer: str
    serial: str = Field(description="Hexadecimal.")
    fingerprint: str = Field(description="SHA-256, hexadecimal.")
    not_before: datetime | None
    not_after: datetime | None
    days_left: int | None = Field(description="Below 0: so many days over its end.")
    renew_at: datetime | None
    attempts: int = Field(description="That failed in a row.")
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    error_kind: str = Field(description="Such as `rate-limited`; empty: none.")
    error: str
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, item: Certificate) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            id=item.id,
            names=list(item.names),
            kind=item.kind,
            status=item.status,
            is_box=item.is_box,
            issuer=item.issuer,
            serial=item.serial,
            fingerprint=item.fingerprint,
            not_before=item.not_before,
            not_after=item.not_after,
            days_left=(item.not_after - now()).days if item.not_after else None,
            renew_at=item.renew_at,
            attempts=item.attempts,
            attempted_at=item.attempted_at,
            next_attempt_at=item.next_attempt_at,
            error_kind=item.error_kind.value if item.error_kind else "",
            error=item.error,
            created_by=item.created_by,
            created_at=item.created_at,
        )


class CertificateEventAnswer(Answer):
    """One thing that happened to a certificate."""

    id: int
    at: datetime
    kind: str = Field(description="Such as `ordered`, `shown`, `issued`, `failed`.")
    text: str

    @classmethod
    def of(cls, event: Event) -> Self:
        """Return ``event`` as it is answered."""
        return cls.model_validate(event, from_attributes=True)


class CertificateDetailAnswer(CertificateAnswer):
    """One certificate, with what happened to it."""

    events: list[CertificateEventAnswer] = Field(
        default_factory=list, description="The newest first."
    )


class AuthorityAnswer(Answer):
    """Where certificates are ordered, and what the box's own authority is."""

    is_on: bool = Field(description="Whether the front door serves (`PROXY_ENABLED`).")
    can_order: bool = Field(description="Whether anything is ordered (`ACME_EMAIL`).")
    directory_url: str
    is_staging: bool
    email: str
    account: str = Field(
        description="Its address at the authority; empty: there is none yet."
    )
    error: str = Field(description="Why the authority as a whole is left alone.")
    next_attempt_at: datetime | None
    own_ca_fingerprint: str = Field(
        description="SHA-256 of the root of the box's own authority; empty: not made yet."
    )
    own_ca_not_after: datetime | None

    @classmethod
    def of(cls, found: Overview) -> Self:
        """Return ``found`` as it is answered."""
        account, root = found.account, found.own_root
        return cls(
            is_on=found.is_on,
            can_order=found.can_order,
            directory_url=found.directory_url,
            is_staging=found.is_staging,
            email=found.email,
            account=account.uri if account else "",
            error=account.error if account else "",
            next_attempt_at=account.next_attempt_at if account else None,
            own_ca_fingerprint=root.fingerprint if root else "",
            own_ca_not_after=root.not_after if root else None,
        )


class CertificatePage(Answer):
    """Some certificates, newest first."""

    items: list[CertificateAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )
    authority: AuthorityAnswer


class CertificateQuery(Input):
    """Which page."""

    limit: int = Field(50, ge=1, le=200)
    cursor: int | None = Field(
        None, ge=0, le=MAX_ID, description="`next_cursor` of the page before."
    )


class CertificateOrderBody(Input):
    """What to order."""

    names: list[str] = Field(
        min_length=1,
        max_length=MAX_NAMES,
        description="Hosts on one certificate; `*.example.org` needs dns-01.",
    )


class CertificateUploadBody(Input):
    """A certificate that was issued elsewhere."""

    chain: str = Field(
        max_length=MAX_PEM_BYTES,
        description="PEM: the certificate first, then each one's issuer.",
    )
    key: str = Field(
        max_length=MAX_PEM_BYTES,
        description="PEM of its private key, without a passphrase; kept sealed, and never shown.",
    )


@routes.get("/api/certificates", summary="List certificates", access=Access.ADMIN)
async def index(request: web.Request, *, query: CertificateQuery) -> CertificatePage:
    """Certificates, newest first, and where they are ordered; for administrators."""
    service = request.app[CERTIFICATES]
    found = await service.list(after_id=query.cursor, limit=query.limit + 1)
    shown, last = one_page(found, query.limit)
    return CertificatePage(
        items=[CertificateAnswer.of(item) for item in shown],
        next_cursor=last.id if last else None,
        authority=AuthorityAnswer.of(await service.overview()),
    )


@routes.get(
    "/api/certificates/own-ca.pem",
    summary="Download the root of the box's own authority",
    content=PEM,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def own_ca(request: web.Request) -> web.Response:
    """The root as PEM; whoever takes it into their system reaches the box without a warning."""
    root = await request.app[CERTIFICATES].own_root()
    return web.Response(
        text=root.certificate,
        content_type=PEM,
        headers={"Content-Disposition": 'attachment; filename="mcp-host-own-ca.pem"'},
    )


@routes.post(
    "/api/certificates",
    summary="Order a certificate",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT,),
)
async def order(
    request: web.Request, *, body: CertificateOrderBody
) -> CertificateAnswer:
    """Have one certificate ordered for all the names, now; of the same names there is one. For administrators."""
    service = request.app[CERTIFICATES]
    return CertificateAnswer.of(await service.order(principal_of(request), body.names))


@routes.post(
    "/api/certificates/upload",
    summary="Bring a certificate",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
)
async def upload(
    request: web.Request, *, body: CertificateUploadBody
) -> CertificateAnswer:
    """Have a certificate served that was issued elsewhere; of the same names, the newest counts. For administrators."""
    made = await request.app[CERTIFICATES].upload(
        principal_of(request), body.chain, body.key
    )
    return CertificateAnswer.of(made)


@routes.get(
    ONE,
    summary="Show a certificate",
    access=Access.ADMIN,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def show(request: web.Request) -> CertificateDetailAnswer:
    """One certificate, when it is renewed or tried again, and what happened; for administrators."""
    item, events = await request.app[CERTIFICATES].get(certificate_id(request))
    return CertificateDetailAnswer(
        **CertificateAnswer.of(item).model_dump(),
        events=[CertificateEventAnswer.of(event) for event in events],
    )


@routes.post(
    f"{ONE}/renew",
    summary="Order a certificate again, now",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=_BUSY,
)
async def renew(request: web.Request) -> CertificateAnswer:
    """Have it ordered now, whatever it waits for; what authorities allow in a week is kept to. For administrators."""
    found = await request.app[CERTIFICATES].renew(
        principal_of(request), certificate_id(request)
    )
    return CertificateAnswer.of(found)


@routes.post(
    f"{ONE}/revoke",
    summary="Revoke a certificate",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=_BUSY,
)
async def revoke(request: web.Request) -> CertificateAnswer:
    """Tell its authority that it counts no more; the box's own CA serves its names until it is ordered again."""
    found = await request.app[CERTIFICATES].revoke(
        principal_of(request), certificate_id(request)
    )
    return CertificateAnswer.of(found)


@routes.delete(
    ONE,
    summary="Remove a certificate",
    access=Access.ADMIN,
    status=HTTPStatus.NO_CONTENT,
    errors=_BUSY,
)
async def remove(request: web.Request) -> None:
    """Remove one that somebody brought, or want one no longer that somebody ordered: it is revoked. For administrators."""
    await request.app[CERTIFICATES].remove(
        principal_of(request), certificate_id(request)
    )


def certificate_id(request: web.Request) -> int:
    """Return the number in the address."""
    return int(request.match_info["certificate_id"])
