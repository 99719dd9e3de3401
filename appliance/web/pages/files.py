"""The files of one server: what lies in its /data, and what people do with it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from appliance.core.errors import ConflictError, DomainError, UnavailableError
from appliance.files.paths import (
    Parts,
    address,
    from_address,
    from_text,
    new_name,
    shown,
)
from appliance.files.service import cursor_of
from appliance.runtimes.volume_model import Entry, EntryKind
from appliance.web import words
from appliance.web.file_addresses import folder_of
from appliance.web.keys import FILES, REQUEST_ID, SERVERS
from appliance.web.pages.forms import (
    read_file_form,
    read_form,
    reads_own_form,
    see_other,
)
from appliance.web.pages.servers import frame_of
from appliance.web.problems import problem_of
from appliance.web.render import blocks, page
from appliance.web.requests import move_time_limit, principal_of, server_of
from appliance.web.uploads import UPLOAD_TIMEOUT_S

routes = web.RouteTableDef()
TEMPLATE = "pages/servers/files.html"
PAGE_SIZE = 100
_NS = 1_000_000_000


@routes.get("/servers/{server}/files")
async def files(request: web.Request) -> web.Response:
    """Show a folder, and how full /data is."""
    return page(request, TEMPLATE, await _context(request, folder_of(request)))


async def _context(
    request: web.Request, path: Parts, problem: DomainError | None = None
) -> dict[str, Any]:
    frame = await frame_of(request, "config")
    base = words.server_path(frame["view"].server)
    found = {
        **frame,
        "path": f"{base}/files",
        "folder": path,
        "folder_address": address(path),
        "crumbs": _crumbs(path),
        "api": f"/api{base}/files",
        "problem": problem_of(problem, request[REQUEST_ID]) if problem else None,
        "absent": None,
        "rows": [],
        "next_url": "",
    }
    cursor = request.query.get("cursor", "")
    try:
        listed = await request.app[FILES].list(
            principal_of(request),
            server_of(request),
            path,
            cursor=cursor,
            limit=PAGE_SIZE,
        )
    except (ConflictError, UnavailableError) as error:
        return {**found, "absent": error}
    more = cursor_of(listed.listing.more)
    here = f"{base}/files?path={address(path)}"
    return {
        **found,
        "rows": [_row(path, item) for item in listed.listing.entries],
        "total": listed.listing.total,
        "fullness": listed.fullness,
        "first_url": here if cursor else "",
        "next_url": f"{here}&cursor={quote(more)}" if more else "",
    }


def _crumbs(path: Parts) -> list[tuple[str, str]]:
    """Return each folder on the way: its name, and what its address says."""
    return [
        (shown(name), address(path[: number + 1])) for number, name in enumerate(path)
    ]


def _row(folder: Parts, entry: Entry) -> dict[str, Any]:
    path = (*folder, entry.name)
    return {
        "name": shown(entry.name),
        "text": shown(path),
        "address": address(path),
        "kind": entry.kind.value,
        "is_file": entry.kind is EntryKind.FILE,
        "is_folder": entry.kind is EntryKind.FOLDER,
        "size": words.size(entry.size_bytes),
        "modified_at": datetime.fromtimestamp(entry.modified_ns / _NS, UTC),
        "target": shown(entry.target),
    }


@routes.get("/servers/{server}/files/checksum")
async def checksum(request: web.Request) -> web.Response:
    """Read a file, and show its SHA-256."""
    move_time_limit(request, UPLOAD_TIMEOUT_S)
    await request.app[SERVERS].get(principal_of(request), server_of(request))
    try:
        stored = await request.app[FILES].look(
            principal_of(request), server_of(request), folder_of(request)
        )
        found = {"sha256": stored.sha256, "sum_problem": ""}
    except DomainError as error:
        found = {"sha256": "", "sum_problem": error.reason}
    return blocks(request, TEMPLATE, ("checksum",), found)


@routes.post("/servers/{server}/files/upload")
@reads_own_form
async def upload(request: web.Request) -> web.Response:
    """Take files from a form, where no script sends them."""
    folder = folder_of(request)
    is_replacing = "overwrite" in request.query

    async def receive(filename: str, chunks: AsyncIterator[bytes]) -> dict[str, str]:
        await request.app[FILES].bring(
            principal_of(request),
            server_of(request),
            (*folder, new_name(filename)),
            chunks,
            overwrite=is_replacing,
        )
        return {}

    _, problem = await read_file_form(request, receive)
    return await _done(request, folder, problem)


@routes.post("/servers/{server}/files/folder")
async def make_folder(request: web.Request) -> web.Response:
    """Make a folder, and show where it is."""
    form = await read_form(request)
    folder = from_address(form.get("folder", ""))
    try:
        path = (*folder, *from_text(form.get("name", "").strip(), field="name"))
        await request.app[FILES].make_folder(
            principal_of(request), server_of(request), path
        )
    except DomainError as error:
        return await _done(request, folder, error)
    return await _done(request, folder)


@routes.post("/servers/{server}/files/remove")
async def remove(request: web.Request) -> web.Response:
    """Remove what the form names, with all that is in it, and show the folder that it was in."""
    form = await read_form(request)
    move_time_limit(request, UPLOAD_TIMEOUT_S)
    path = from_address(form.get("file", ""))
    try:
        await request.app[FILES].remove(
            principal_of(request), server_of(request), path, recursive=True
        )
    except DomainError as error:
        return await _done(request, path[:-1], error)
    return await _done(request, path[:-1])


@routes.post("/servers/{server}/files/move")
async def move(request: web.Request) -> web.Response:
    """Give what the form names another path, and show the folder that it was in."""
    form = await read_form(request)
    path = from_address(form.get("file", ""))
    try:
        await request.app[FILES].move(
            principal_of(request),
            server_of(request),
            path,
            from_text(form.get("to", "").strip(), field="to"),
        )
    except DomainError as error:
        return await _done(request, path[:-1], error)
    return await _done(request, path[:-1])


async def _done(
    request: web.Request, folder: Parts, problem: DomainError | None = None
) -> web.Response:
    """Show the folder: as it is now, or with what was wrong."""
    if problem is None:
        frame = await frame_of(request, "config")
        base = words.server_path(frame["view"].server)
        return see_other(f"{base}/files?path={address(folder)}")
    context = await _context(request, folder, problem)
    return page(request, TEMPLATE, context, status=context["problem"].status)
