"""/api/servers/:id/files: what lies in a server's /data."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

from aiohttp import hdrs, web
from pydantic import Field

from appliance.files.digests import REPR_DIGEST, expected, header_value
from appliance.files.model import Folder, Fullness, Stored
from appliance.files.paths import (
    Parts,
    address,
    from_text,
    new_name,
    shown,
)
from appliance.files.service import cursor_of
from appliance.runtimes.volume_model import Entry, EntryKind
from appliance.web.api.answer import Answer
from appliance.web.downloads import send_file
from appliance.web.file_addresses import folder_of, path_of
from appliance.web.keys import FILES
from appliance.web.parsing import Input
from appliance.web.requests import move_time_limit, principal_of, server_of
from appliance.web.routes import Routes
from appliance.web.uploads import UPLOAD_TIMEOUT_S, chunks_of, file_of

routes = Routes("files")
FILE = "file"
MAX_LIST = 1000
_NS = 1_000_000_000
#: Seconds without a byte after which an upload is given up.
SILENT_S = 120.0
_PIECE = 256 * 1024
_FULL = (HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN)


class EntryAnswer(Answer):
    """One name in a folder."""

    name: str = Field(
        description="As text; what is none is replaced by �, and only `href` is exact."
    )
    path: str = Field(description="Below `/data`, as text.")
    href: str = Field(description="Its address, exact whatever its name's bytes are.")
    kind: EntryKind = Field(
        description="Links, pipes, sockets and devices are shown and can be removed; nothing else."
    )
    size_bytes: int
    modified_at: datetime
    etag: str = Field(description="Changes with the content.")
    target: str = Field(description="What a link says; it is never followed.")

    @classmethod
    def of(cls, base: str, folder: Parts, entry: Entry) -> Self:
        """Return the answer for an entry of ``folder``."""
        path = (*folder, entry.name)
        return cls(
            name=shown(entry.name),
            path=shown(path),
            href=f"{base}/{address(path)}",
            kind=entry.kind,
            size_bytes=entry.size_bytes,
            modified_at=datetime.fromtimestamp(entry.modified_ns / _NS, UTC),
            etag=f'"{entry.tag}"',
            target=shown(entry.target),
        )


class UsageAnswer(Answer):
    """How full a server's /data is."""

    used_bytes: int
    quota_bytes: int
    free_bytes: int = Field(
        description="What may still be brought; less than the rest of the quota where the disk has less."
    )
    entries: int

    @classmethod
    def of(cls, fullness: Fullness) -> Self:
        """Return the answer for a fullness."""
        return cls(
            used_bytes=fullness.used_bytes,
            quota_bytes=fullness.quota_bytes,
            free_bytes=fullness.free_bytes,
            entries=fullness.entries,
        )


class FolderAnswer(Answer):
    """A part of a folder's list."""

    path: str
    items: list[EntryAnswer]
    next_cursor: str | None
    total: int = Field(description="Entries of the whole folder.")
    usage: UsageAnswer | None = Field(
        description="Of all of `/data`; with a list's first page alone."
    )

    @classmethod
    def of(cls, base: str, folder: Folder) -> Self:
        """Return the answer for a part of a folder."""
        listing, fullness = folder.listing, folder.fullness
        return cls(
            path=shown(folder.path),
            items=[EntryAnswer.of(base, folder.path, item) for item in listing.entries],
            next_cursor=cursor_of(listing.more),
            total=listing.total,
            usage=UsageAnswer.of(fullness) if fullness else None,
        )


class FileAnswer(EntryAnswer):
    """A file that was brought."""

    sha256: str = Field(description="In hex; also as `Repr-Digest`.")


class RemovedAnswer(Answer):
    """What went."""

    entries: int


class ListQuery(Input):
    """Which part of which folder."""

    path: str = Field("", description="Folder below `/data`; empty: `/data` itself.")
    cursor: str = Field("", max_length=2000, description="From `next_cursor`.")
    limit: int = Field(200, ge=1, le=MAX_LIST)


class BringQuery(Input):
    """How a file is taken."""

    overwrite: bool = Field(default=False, description="Replace a file that is there.")
    sha256: str = Field(
        "",
        max_length=100,
        description="What it must have, in hex; `Repr-Digest: sha-256=:…:` says the same. Anything else is not stored.",
    )


class FormQuery(BringQuery):
    """Where a form's file goes, and how it is taken."""

    path: str = Field("", description="Folder below `/data`; made if it is not there.")


class RemoveQuery(Input):
    """What is removed."""

    recursive: bool = Field(
        default=False, description="A folder with all that is in it."
    )


class FolderBody(Input):
    """A folder that is to be made, with those on its way."""

    path: str = Field(description="Below `/data`.")


class MoveBody(Input):
    """Another name or place."""

    to: str = Field(description="The new path below `/data`, whole.")
    overwrite: bool = Field(default=False, description="Replace a file that is there.")


def base_of(request: web.Request) -> str:
    """Return the address of a server's files."""
    return f"/api/servers/{request.match_info['server']}/files"


async def incoming(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a raw body as it comes, for as long as something comes."""
    async for piece in request.content.iter_chunked(_PIECE):
        move_time_limit(request, SILENT_S)
        yield piece
    # What is left is for the disk.
    move_time_limit(request, UPLOAD_TIMEOUT_S)


def stored_answer(request: web.Request, stored: Stored) -> FileAnswer:
    """Return the answer for a file that was brought."""
    entry = EntryAnswer.of(base_of(request), stored.path[:-1], stored.entry)
    return FileAnswer(**entry.model_dump(), sha256=stored.sha256)


def _stored(request: web.Request, stored: Stored, status: HTTPStatus) -> web.Response:
    answer = stored_answer(request, stored)
    headers = {
        REPR_DIGEST: header_value(stored.sha256),
        hdrs.ETAG: answer.etag,
        hdrs.LOCATION: answer.href,
        hdrs.CACHE_CONTROL: "no-store",
    }
    return web.Response(
        body=answer.model_dump_json().encode(),
        status=status,
        content_type="application/json",
        headers=headers,
    )


@routes.get(
    "/api/servers/{server}/files",
    summary="List files",
    errors=_FULL,
)
async def list_files(request: web.Request, *, query: ListQuery) -> FolderAnswer:
    """A folder of the server's `/data`, folders first, then by name; works whether the server runs or not."""
    folder = await request.app[FILES].list(
        principal_of(request),
        server_of(request),
        folder_of(request),
        cursor=query.cursor,
        limit=query.limit,
    )
    return FolderAnswer.of(base_of(request), folder)


@routes.post(
    "/api/servers/{server}/files",
    summary="Upload a file from a form",
    status=HTTPStatus.CREATED,
    answer=FileAnswer,
    errors=_FULL,
    upload=FILE,
)
async def upload(request: web.Request, *, query: FormQuery) -> web.Response:
    """Bring a file as multipart/form-data; it appears in the folder `path` under its own name once it is whole."""
    part = await file_of(request, FILE)
    stored = await request.app[FILES].bring(
        principal_of(request),
        server_of(request),
        (*folder_of(request), new_name(part.filename or "")),
        chunks_of(part),
        overwrite=query.overwrite,
        sha256=expected(request.headers, query.sha256),
    )
    return _stored(request, stored, HTTPStatus.CREATED)


@routes.put(
    "/api/servers/{server}/files/{path:.+}",
    summary="Upload a file",
    status=HTTPStatus.CREATED,
    answer=FileAnswer,
    errors=_FULL,
    raw=True,
)
async def put(request: web.Request, *, query: BringQuery) -> web.Response:
    """Bring a file as the request's body. Folders on its way are made; it appears under its name once it is whole.

    409 if something has the name, unless `overwrite` is asked for. The answer carries its SHA-256.
    """
    move_time_limit(request, SILENT_S)
    stored = await request.app[FILES].bring(
        principal_of(request),
        server_of(request),
        path_of(request),
        incoming(request),
        overwrite=query.overwrite,
        size_bytes=request.content_length,
        sha256=expected(request.headers, query.sha256),
    )
    return _stored(request, stored, HTTPStatus.CREATED)


@routes.get(
    "/api/servers/{server}/files/{path:.+}",
    summary="Download a file",
    content="application/octet-stream",
    errors=(*_FULL, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
)
async def download(request: web.Request) -> web.StreamResponse:
    """The file, or the part that `Range` names; `If-Range` and `If-None-Match` work with its `ETag`.

    With `Want-Repr-Digest: sha-256=1` the answer carries the whole file's checksum, for which it is read twice.
    """
    return await send_file(request, path_of(request))


@routes.delete(
    "/api/servers/{server}/files/{path:.+}",
    summary="Remove a file or folder",
    errors=_FULL,
)
async def remove(request: web.Request, *, query: RemoveQuery) -> RemovedAnswer:
    """Remove a file, a link or an empty folder; with `recursive`, a folder and all that is in it. A link's target stays."""
    move_time_limit(request, UPLOAD_TIMEOUT_S)
    removed = await request.app[FILES].remove(
        principal_of(request),
        server_of(request),
        path_of(request),
        recursive=query.recursive,
    )
    return RemovedAnswer(entries=removed)


@routes.post(
    "/api/servers/{server}/folders",
    summary="Make a folder",
    status=HTTPStatus.CREATED,
    errors=_FULL,
)
async def make_folder(request: web.Request, *, body: FolderBody) -> EntryAnswer:
    """Make a folder below `/data`, and those on its way."""
    path = from_text(body.path)
    made = await request.app[FILES].make_folder(
        principal_of(request), server_of(request), path
    )
    return EntryAnswer.of(base_of(request), path[:-1], made)


@routes.post(
    "/api/servers/{server}/files/{path:.+}",
    summary="Rename or move a file or folder",
    errors=_FULL,
)
async def move(request: web.Request, *, body: MoveBody) -> EntryAnswer:
    """Give a file or folder another name or place below `/data`; 409 if something is there, unless `overwrite` is asked for."""
    to = from_text(body.to, field="to")
    moved = await request.app[FILES].move(
        principal_of(request),
        server_of(request),
        path_of(request),
        to,
        overwrite=body.overwrite,
    )
    return EntryAnswer.of(base_of(request), to[:-1], moved)
