"""/api/uploads, /api/sources and what belongs to a server's source: its archive, and the way into its repository."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import Field, SecretStr

from appliance.servers.entries import fetch_entry
from appliance.sources.credentials import CredentialKind, CredentialView
from appliance.sources.entry import Entry, Option, Question
from appliance.sources.server_json import read_entry
from appliance.web.api.answer import Answer
from appliance.web.api.server_answers import ServerAnswer
from appliance.web.keys import SETTINGS, SOURCES
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes
from appliance.web.uploads import chunks_of, file_of

routes = Routes("sources")
FILE = "archive"
_TOO_MUCH = (HTTPStatus.TOO_MANY_REQUESTS,)


class UploadAnswer(Answer):
    """An archive that was brought."""

    archive: str = Field(description="`sha256:…`; names it as a server's source.")
    archive_name: str = Field(description="As its owner called it, plain letters.")
    size_bytes: int


class CredentialAnswer(Answer):
    """What may be shown of a source's credential; never the credential."""

    kind: CredentialKind
    hint: str = Field(description="User name, or the deploy key's public half.")
    has_host_keys: bool = Field(
        description="Whether a fetch has seen the host's keys; no others are accepted from then on."
    )
    updated_at: datetime

    @classmethod
    def of(cls, view: CredentialView) -> Self:
        """Return the answer for a credential."""
        return cls(
            kind=view.kind,
            hint=view.hint,
            has_host_keys=view.has_host_keys,
            updated_at=view.updated_at,
        )


class CredentialState(Answer):
    """Whether a source has a credential."""

    credential: CredentialAnswer | None


class CredentialBody(Input):
    """One way into a private repository: `git_token` over https, or `deploy_key` over ssh."""

    git_token: SecretStr | None = Field(
        None, description="An access token; never shown again."
    )
    git_user: str | None = Field(
        None, description="Beside a token, where the git host looks at the name."
    )
    deploy_key: SecretStr | None = Field(
        None,
        description="A private key in OpenSSH's format, without a passphrase; never shown again.",
    )


class EntryBody(Input):
    """An entry of an MCP registry: the document itself, or where it is."""

    server_json: dict[str, Any] | None = Field(
        None, description="A `server.json`, or a registry's answer that holds one."
    )
    server_json_url: str | None = Field(
        None, max_length=2048, description="Address of one version at a registry."
    )


class QuestionAnswer(Answer):
    """One thing that is asked of whoever hosts it."""

    name: str
    description: str
    is_required: bool
    is_secret: bool
    default: str
    choices: list[str]

    @classmethod
    def of(cls, question: Question) -> Self:
        """Return the answer for a question."""
        return cls(
            name=question.name,
            description=question.description,
            is_required=question.is_required,
            is_secret=question.is_secret,
            default="" if question.is_secret else question.default,
            choices=list(question.choices),
        )


class OptionAnswer(Answer):
    """One way to host it."""

    number: int = Field(description="For `server_json_option`.")
    label: str
    kind: str
    why_not: str = Field(description="Why it cannot be hosted here; empty: it can.")
    source: dict[str, str]
    questions: list[QuestionAnswer]

    @classmethod
    def of(cls, number: int, option: Option) -> Self:
        """Return the answer for an option."""
        return cls(
            number=number,
            label=option.label,
            kind=option.kind,
            why_not=option.why_not,
            source={} if option.why_not else dict(option.source),
            questions=[QuestionAnswer.of(item) for item in option.questions()],
        )


class EntryAnswer(Answer):
    """What an entry offers."""

    name: str
    version: str
    description: str
    options: list[OptionAnswer]


async def entry_of(request: web.Request, document: object, url: str | None) -> Entry:
    """Return the entry that a body gives or names."""
    if document is None and url:
        allow_private = request.app[SETTINGS].remote_allow_private
        return await fetch_entry(url, allow_private=allow_private)
    return read_entry(document)


@routes.post("/api/sources/server-json", summary="Read a registry's entry")
async def read(request: web.Request, *, body: EntryBody) -> EntryAnswer:
    """What a `server.json` offers, and what it asks of whoever hosts it; nothing is created."""
    principal_of(request)
    entry = await entry_of(request, body.server_json, body.server_json_url)
    return EntryAnswer(
        name=entry.name,
        version=entry.version,
        description=entry.description,
        options=[OptionAnswer.of(*item) for item in enumerate(entry.options)],
    )


@routes.post(
    "/api/uploads",
    summary="Upload an archive",
    status=HTTPStatus.CREATED,
    errors=_TOO_MUCH,
    upload=FILE,
)
async def upload(request: web.Request) -> UploadAnswer:
    """Bring a tar.gz or zip; `POST /api/servers` with its digest as `archive` makes a server of it.

    A file that no server is made of is removed after a day.
    """
    part = await file_of(request, FILE)
    brought = await request.app[SOURCES].upload(
        principal_of(request), part.filename or "", chunks_of(part)
    )
    return UploadAnswer(
        archive=brought.source.digest,
        archive_name=brought.source.filename,
        size_bytes=brought.size_bytes,
    )


@routes.post(
    "/api/servers/{server}/archive",
    summary="Replace a server's archive",
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT, *_TOO_MUCH),
    upload=FILE,
)
async def replace(request: web.Request) -> ServerAnswer:
    """Bring a new archive for a server that is made of one, and redeploy it; what runs now serves until then."""
    part = await file_of(request, FILE)
    view = await request.app[SOURCES].replace_archive(
        principal_of(request),
        server_of(request),
        part.filename or "",
        chunks_of(part),
    )
    return ServerAnswer.of(view)


@routes.get(
    "/api/servers/{server}/source/credential", summary="Show a source's credential"
)
async def show(request: web.Request) -> CredentialState:
    """What may be shown of it: its kind, and its user name or public key."""
    view = await request.app[SOURCES].credential(
        principal_of(request), server_of(request)
    )
    return CredentialState(credential=CredentialAnswer.of(view) if view else None)


@routes.put(
    "/api/servers/{server}/source/credential",
    summary="Set a source's credential",
    errors=(HTTPStatus.CONFLICT,),
)
async def put(request: web.Request, *, body: CredentialBody) -> CredentialAnswer:
    """Set with what the repository is fetched from the next build on; host keys that were seen are forgotten."""
    view = await request.app[SOURCES].set_credential(
        principal_of(request),
        server_of(request),
        token=body.git_token,
        user=body.git_user,
        deploy_key=body.deploy_key,
    )
    return CredentialAnswer.of(view)


@routes.delete(
    "/api/servers/{server}/source/credential",
    summary="Remove a source's credential",
    errors=(HTTPStatus.CONFLICT,),
)
async def remove(request: web.Request) -> None:
    """Forget with what the repository is fetched."""
    await request.app[SOURCES].remove_credential(
        principal_of(request), server_of(request)
    )
