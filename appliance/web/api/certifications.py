"""/api/artifacts/{artifact}/evaluations and /api/evaluations/{evaluation}: what is certified of versions."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

import orjson
from aiohttp import hdrs, web
from pydantic import AwareDatetime, Field, field_validator

from appliance.evaluations.certifications import standing
from appliance.evaluations.errors import CertificationNotFoundError
from appliance.evaluations.model import (
    Certification,
    EvidenceFile,
    Finding,
    Origin,
    Standing,
    Status,
)
from appliance.sources.spec import plain_filename
from appliance.web.api.answer import Answer
from appliance.web.api.artifacts import artifact_of
from appliance.web.downloads import disposition
from appliance.web.keys import CERTIFICATIONS
from appliance.web.parsing import Input
from appliance.web.requests import (
    move_time_limit,
    path_id,
    principal_of,
    row_id,
    server_of,
)
from appliance.web.routes import Routes
from appliance.web.uploads import UPLOAD_TIMEOUT_S, chunks_of, file_of

routes = Routes("evaluations")
FILE = "file"
#: Bytes of evidence in JSON; more belongs into a file.
MAX_EVIDENCE = 256 * 1024
_CHANGED = (HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN)


class ServerCertificationBody(Input):
    """What was found about a version."""

    policy_requirement: str = Field(
        max_length=63,
        description="What is asked of the tier, such as `smoke`.",
        examples=["smoke"],
    )
    status: Status
    tier: str = Field("", max_length=80, description="Empty: the version's own.")
    evidence: dict[str, Any] = Field(
        default_factory=dict,
        description="Anything that shows it, up to 256 KiB; larger things are files.",
    )
    note: str = Field("", max_length=2000, description="In words.")
    valid_from: AwareDatetime | None = Field(
        None, description="With `pass`; absent: from now on."
    )
    valid_until: AwareDatetime | None = Field(
        None, description="With `pass`; absent: for good."
    )
    warn_days: int | None = Field(
        None,
        ge=0,
        le=365,
        description="Days of warning before `valid_until`; absent: EVALUATION_WARNING_DAYS.",
    )
    version: int | None = Field(
        None,
        ge=0,
        description="What you saw, 0 for none: if it is another by now, 409. Absent: whatever is there is replaced.",
    )

    @field_validator("evidence")
    @classmethod
    def _bounded(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(orjson.dumps(value, default=str)) > MAX_EVIDENCE:
            raise ValueError("must be at most 256 KiB; put more into a file")
        return value

    def finding(self, warn_days: int) -> Finding:
        """Return what was found."""
        return Finding(
            status=self.status,
            evidence=self.evidence,
            note=self.note,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            warn_days=warn_days if self.warn_days is None else self.warn_days,
        )


class CertificationBody(ServerCertificationBody):
    """What was found about a run of the ledger."""

    manifest_digest: str = Field(
        "", max_length=71, description="Empty: the run's own; there is no other."
    )


class RetryQuery(Input):
    """What was seen."""

    version: int | None = Field(None, ge=1, description="If it is another by now, 409.")


class EvidenceFileAnswer(Answer):
    """A file beside a certification."""

    id: int
    name: str
    digest: str
    size_bytes: int
    added_by: str
    created_at: datetime
    path: str = Field(description="Where to download it; always as an attachment.")

    @classmethod
    def of(cls, item: EvidenceFile) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            id=item.id,
            name=item.name,
            digest=item.digest,
            size_bytes=item.size_bytes,
            added_by=item.added_by,
            created_at=item.created_at,
            path=f"/api/evaluations/{item.certification_id}/files/{item.id}",
        )


class CertificationAnswer(Answer):
    """What is known of one requirement for one digest and tier."""

    id: int
    artifact_run_id: int | None = Field(description="Null: nothing was built.")
    server_id: int
    server_name: str
    manifest_digest: str
    tier: str
    policy_requirement: str
    status: Status
    standing: Standing = Field(
        description="What it is worth now; only `active` lets anything launch."
    )
    evidence: dict[str, Any]
    note: str
    valid_from: datetime | None
    valid_until: datetime | None
    warn_days: int
    origin: Origin
    evaluation_run_id: int | None = Field(
        description="Of the suite or the replay that it comes of."
    )
    certified_by: str
    version: int
    created_at: datetime
    updated_at: datetime
    files: list[EvidenceFileAnswer]

    @classmethod
    def of(cls, item: Certification, at: datetime) -> Self:
        """Return ``item`` as it is at a moment."""
        about, finding = item.about, item.finding
        return cls(
            id=item.id,
            artifact_run_id=about.artifact_run_id,
            server_id=about.server_id,
            server_name=about.server_name,
            manifest_digest=about.manifest_digest,
            tier=about.tier,
            policy_requirement=about.policy_requirement,
            status=finding.status,
            standing=standing(item, at),
            evidence=dict(finding.evidence),
            note=finding.note,
            valid_from=finding.valid_from,
            valid_until=finding.valid_until,
            warn_days=finding.warn_days,
            origin=finding.origin,
            evaluation_run_id=finding.evaluation_run_id,
            certified_by=item.certified_by,
            version=item.version,
            created_at=item.created_at,
            updated_at=item.updated_at,
            files=[EvidenceFileAnswer.of(file) for file in item.files],
        )


class CertificationList(Answer):
    """Certifications, the newest change first."""

    items: list[CertificationAnswer]


@routes.get(
    "/api/artifacts/{artifact}/evaluations", summary="List certifications of a run"
)
async def index(request: web.Request) -> CertificationList:
    """What is certified of a run of the ledger, with what each certification is worth now."""
    artifact = await artifact_of(request)
    service = request.app[CERTIFICATIONS]
    return await _listed(
        request, await service.of_artifact(principal_of(request), artifact.id)
    )


@routes.post(
    "/api/artifacts/{artifact}/evaluations",
    summary="Certify a run",
    errors=_CHANGED,
)
async def certify(
    request: web.Request, *, body: CertificationBody
) -> CertificationAnswer:
    """Write what was found, in place of what was known of the same run, digest, tier and requirement."""
    artifact = await artifact_of(request)
    service = request.app[CERTIFICATIONS]
    found = await service.certify_artifact(
        principal_of(request),
        artifact.id,
        body.finding(service.warn_days),
        tier=body.tier,
        requirement=body.policy_requirement,
        digest=body.manifest_digest,
        expected_version=body.version,
    )
    return await _answer(request, found)


@routes.get(
    "/api/servers/{server}/certifications", summary="List certifications of a server"
)
async def index_server(request: web.Request) -> CertificationList:
    """What is certified of a server's versions, the newest change first."""
    service = request.app[CERTIFICATIONS]
    return await _listed(
        request, await service.of_server(principal_of(request), server_of(request))
    )


@routes.post(
    "/api/servers/{server}/certifications",
    summary="Certify a server's newest version",
    errors=_CHANGED,
)
async def certify_server(
    request: web.Request, *, body: ServerCertificationBody
) -> CertificationAnswer:
    """As with a run; also of what was not built here, such as a remote server, which is known by its address."""
    service = request.app[CERTIFICATIONS]
    found = await service.certify_server(
        principal_of(request),
        server_of(request),
        body.finding(service.warn_days),
        tier=body.tier,
        requirement=body.policy_requirement,
        expected_version=body.version,
    )
    return await _answer(request, found)


@routes.get("/api/evaluations/{evaluation}", summary="Show a certification")
async def show(request: web.Request) -> CertificationAnswer:
    """One certification, with its evidence and files."""
    found = await request.app[CERTIFICATIONS].get(
        principal_of(request), evaluation_of(request)
    )
    return await _answer(request, found)


@routes.post(
    "/api/evaluations/{evaluation}/retry",
    summary="Ask for a certification again",
    errors=_CHANGED,
)
async def retry(request: web.Request, *, query: RetryQuery) -> CertificationAnswer:
    """Make it pending, without its window, so that it can be found out anew. Its evidence stays until then."""
    found = await request.app[CERTIFICATIONS].retry(
        principal_of(request), evaluation_of(request), query.version
    )
    return await _answer(request, found)


@routes.post(
    "/api/evaluations/{evaluation}/files",
    summary="Add a file of evidence",
    status=HTTPStatus.CREATED,
    upload=FILE,
    errors=(HTTPStatus.FORBIDDEN,),
)
async def add_file(request: web.Request) -> EvidenceFileAnswer:
    """Put a file beside a certification, as multipart/form-data: up to 20, each up to EVALUATION_EVIDENCE_MAX_MIB."""
    certification_id, service = evaluation_of(request), request.app[CERTIFICATIONS]
    await service.get(principal_of(request), certification_id)
    part = await file_of(request, FILE)
    found = await service.add_file(
        principal_of(request),
        certification_id,
        plain_filename(part.filename or ""),
        chunks_of(part),
    )
    return EvidenceFileAnswer.of(found)


@routes.get(
    "/api/evaluations/{evaluation}/files/{file}",
    summary="Download a file of evidence",
    content="application/octet-stream",
)
async def download(request: web.Request) -> web.StreamResponse:
    """The file, byte for byte, always as something to be saved: nobody's browser shows it."""
    certification_id, text = evaluation_of(request), request.match_info["file"]
    item, path = await request.app[CERTIFICATIONS].file(
        principal_of(request), certification_id, row_id(text) or 0
    )
    move_time_limit(request, UPLOAD_TIMEOUT_S)
    return web.FileResponse(
        path,
        headers={
            hdrs.CONTENT_TYPE: "application/octet-stream",
            hdrs.CONTENT_DISPOSITION: disposition(item.name),
            "Content-Security-Policy": "default-src 'none'; sandbox",
            hdrs.CACHE_CONTROL: "private, no-cache",
        },
    )


def evaluation_of(request: web.Request) -> int:
    """Return the certification that the path names.

    Raises:
        CertificationNotFoundError: It names none.
    """
    told = "There is no certification {}."
    return path_id(request, "evaluation", told, CertificationNotFoundError)


async def _answer(request: web.Request, item: Certification) -> CertificationAnswer:
    at, _ = await request.app[CERTIFICATIONS].standings([item])
    return CertificationAnswer.of(item, at)


async def _listed(
    request: web.Request, found: list[Certification]
) -> CertificationList:
    at, _ = await request.app[CERTIFICATIONS].standings(found)
    return CertificationList(items=[CertificationAnswer.of(item, at) for item in found])
