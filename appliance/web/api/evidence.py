"""/api/artifacts/{artifact}/evidence and /api/evidence: signed documents about what was built, and the keys to check them."""

from datetime import datetime
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.core.errors import InvalidError
from appliance.evidence.dsse import BUNDLE_TYPE
from appliance.evidence.errors import NoEvidenceError
from appliance.evidence.model import (
    Document,
    EvidenceView,
    Kind,
    PublicKey,
    Referrer,
    State,
)
from appliance.web.api.answer import Answer
from appliance.web.api.artifacts import artifact_of
from appliance.web.keys import EVIDENCE
from appliance.web.parsing import Input
from appliance.web.requests import Access, principal_of
from appliance.web.routes import TEXT, Routes

routes = Routes("evidence")


class SubjectAnswer(Answer):
    """What a document speaks of."""

    name: str
    digest: str
    is_local: bool = Field(
        description="The digest is the engine's id of a local image: the run was not pushed."
    )


class DocumentAnswer(Answer):
    """One signed document."""

    kind: Kind
    platform: str = Field(description="Empty: it speaks of all platforms.")
    predicate_type: str
    subjects: list[SubjectAnswer]
    digest: str = Field(description="Of the bundle.")
    size_bytes: int
    key_id: str = Field(description="Of the key that signed it.")
    made_by: str
    created_at: datetime
    file_name: str = Field(description="What to call the bundle as a file.")
    path: str = Field(description="Where to download the bundle.")

    @classmethod
    def of(cls, item: Document) -> Self:
        """Return ``item`` as it is answered."""
        query = f"?platform={item.platform}" if item.platform else ""
        return cls(
            kind=item.kind,
            platform=item.platform,
            predicate_type=item.predicate_type,
            subjects=[
                SubjectAnswer.model_validate(subject, from_attributes=True)
                for subject in item.subjects
            ],
            digest=item.digest,
            size_bytes=item.size_bytes,
            key_id=item.key_id,
            made_by=item.made_by,
            created_at=item.created_at,
            file_name=item.file_name,
            path=f"/api/artifacts/{item.run_id}/evidence/{item.kind.value}{query}",
        )


class ReferrerAnswer(Answer):
    """Where in the registry a document is found."""

    subject: str = Field(description="Digest of the manifest that it speaks of.")
    digest: str = Field(description="Digest of the manifest that carries it.")
    kind: Kind
    platform: str
    listed_by: str = Field(
        description="`api`: the registry lists referrers itself; `tag`: the index under the tag `sha256-…` does."
    )

    @classmethod
    def of(cls, item: Referrer) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item.as_json())


class EvidenceAnswer(Answer):
    """The evidence of one run."""

    artifact_id: int
    state: State
    error: str = Field(description="What is missing and why; empty otherwise.")
    documents: list[DocumentAnswer]
    referrers: list[ReferrerAnswer]
    updated_at: datetime | None

    @classmethod
    def of(cls, view: EvidenceView) -> Self:
        """Return ``view`` as it is answered."""
        return cls(
            artifact_id=view.run_id,
            state=view.state,
            error=view.error,
            documents=[DocumentAnswer.of(item) for item in view.documents],
            referrers=[ReferrerAnswer.of(item) for item in view.referrers],
            updated_at=view.updated_at,
        )


class SigningKeyAnswer(Answer):
    """A key whose signatures are good."""

    id: str = Field(description="SHA-256 of its DER form, in hexadecimal.")
    pem: str
    created_at: datetime
    retired_at: datetime | None = Field(
        description="Null: it is the one that signs. A retired key's old signatures stay good."
    )

    @classmethod
    def of(cls, key: PublicKey) -> Self:
        """Return ``key`` as it is answered."""
        return cls.model_validate(key, from_attributes=True)


class SigningKeyList(Answer):
    """Every key that ever signed, the newest first."""

    items: list[SigningKeyAnswer]


class EvidenceQuery(Input):
    """Which of several."""

    platform: str = Field(
        "",
        max_length=64,
        description="Such as `linux/arm64`; needed where there is one for each of several platforms.",
    )


class EvidenceKeyQuery(Input):
    """Which key."""

    id: str = Field(
        "", max_length=64, description="Of a retired key; empty: the one that signs."
    )


@routes.get("/api/artifacts/{artifact}/evidence", summary="List a run's evidence")
async def index(request: web.Request) -> EvidenceAnswer:
    """Bill of materials and provenance of a build, where in the registry they are, and what is missing."""
    artifact = await artifact_of(request)
    return EvidenceAnswer.of(
        await request.app[EVIDENCE].view(principal_of(request), artifact.id)
    )


@routes.get(
    "/api/artifacts/{artifact}/evidence/{kind}",
    summary="Download a bundle",
    content=BUNDLE_TYPE,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def bundle(request: web.Request, *, query: EvidenceQuery) -> web.Response:
    """A Sigstore bundle, byte for byte as it was signed: `sbom` or `provenance`. `mcpctl verify` and cosign check it."""
    artifact = await artifact_of(request)
    found = await request.app[EVIDENCE].bundle(
        principal_of(request), artifact.id, _kind(request), query.platform
    )
    name = found.document.file_name
    return web.Response(
        body=found.content,
        content_type=BUNDLE_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@routes.post(
    "/api/artifacts/{artifact}/evidence/retry",
    summary="Make a run's evidence again",
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT,),
)
async def retry(request: web.Request) -> EvidenceAnswer:
    """Make what is missing, and attach what is not in the registry; what is there stays."""
    artifact = await artifact_of(request)
    return EvidenceAnswer.of(
        await request.app[EVIDENCE].retry(principal_of(request), artifact.id)
    )


@routes.get("/api/evidence/key", summary="Download a public key", content=TEXT)
async def key(request: web.Request, *, query: EvidenceKeyQuery) -> web.Response:
    """The key that checks this appliance's evidence, as PEM; with `id`, one that is retired."""
    keys = await request.app[EVIDENCE].keys()
    wanted = [
        item
        for item in keys
        if (item.id == query.id if query.id else item.retired_at is None)
    ]
    if not wanted:
        raise InvalidError.field("id", "there is no such key; GET /api/evidence/keys")
    return web.Response(text=wanted[0].pem, content_type=TEXT)


@routes.get("/api/evidence/keys", summary="List public keys")
async def keys(request: web.Request) -> SigningKeyList:
    """Every key that ever signed, the newest first."""
    found = await request.app[EVIDENCE].keys()
    return SigningKeyList(items=[SigningKeyAnswer.of(item) for item in found])


@routes.post(
    "/api/evidence/keys",
    summary="Exchange the signing key",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
)
async def rotate(request: web.Request) -> SigningKeyAnswer:
    """Sign with a new key from now on; the old private key is forgotten, its public part stays, and so does old evidence."""
    return SigningKeyAnswer.of(
        await request.app[EVIDENCE].rotate_key(principal_of(request))
    )


def _kind(request: web.Request) -> Kind:
    text = request.match_info["kind"]
    try:
        return Kind(text)
    except ValueError as error:
        raise NoEvidenceError(
            f"There is no evidence of the kind {text}.",
            hint="Ask for sbom or provenance.",
        ) from error
