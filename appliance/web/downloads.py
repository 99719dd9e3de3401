"""Files of a server on their way to whoever asked: whole or in part, and never as something that a browser runs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import hdrs, web

from appliance.files.digests import (
    REPR_DIGEST,
    WANT_REPR_DIGEST,
    header_value,
    is_wanted,
)
from appliance.files.paths import Parts, shown
from appliance.files.ranges import Part, RangeError, etag_of, is_unchanged, part_of
from appliance.files.service import OpenFile
from appliance.web.keys import FILES, REQUEST_ID
from appliance.web.problems import problem_of, problem_response
from appliance.web.requests import move_time_limit, principal_of, server_of

#: Seconds without a byte taken after which a download is given up.
SILENT_S = 120.0
#: A checksum is made before the first byte.
CHECKSUM_S = 600.0
_NS = 1_000_000_000


async def send_file(request: web.Request, path: Parts) -> web.StreamResponse:
    """Answer with a file of the server that the address names."""
    is_summed = is_wanted(request.headers.get(WANT_REPR_DIGEST, ""))
    move_time_limit(request, CHECKSUM_S if is_summed else SILENT_S)
    async with request.app[FILES].fetch(
        principal_of(request), server_of(request), path, checksum=is_summed
    ) as file:
        headers = _headers(file)
        if is_unchanged(
            request.headers.get(hdrs.IF_NONE_MATCH, ""), headers[hdrs.ETAG]
        ):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        try:
            part = _part(request, file, headers[hdrs.ETAG])
        except RangeError as error:
            return _unsatisfiable(request, error)
        return await _send(request, file, part, headers)


def _part(request: web.Request, file: OpenFile, etag: str) -> Part:
    return part_of(
        request.headers.get(hdrs.RANGE, ""),
        request.headers.get(hdrs.IF_RANGE, ""),
        size_bytes=file.stored.entry.size_bytes,
        etag=etag,
    )


async def _send(
    request: web.Request, file: OpenFile, part: Part, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    if not part.is_whole:
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers[hdrs.CONTENT_RANGE] = part.content_range(
            file.stored.entry.size_bytes
        )
    response.content_length = part.length
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        sent = await _pass_on(request, response, file.read(part.offset, part.length))
        if sent < part.length and request.transport is not None:
            # The server shortened it meanwhile. Only a broken line tells that there is less than was announced.
            request.transport.abort()
    return response


async def _pass_on(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> int:
    sent = 0
    async for piece in pieces:
        move_time_limit(request, SILENT_S)
        await response.write(piece)
        sent += len(piece)
    return sent


def _headers(file: OpenFile) -> dict[str, str]:
    entry = file.stored.entry
    found = {
        # Whatever it is, nobody's browser shall take it for a page of ours.
        hdrs.CONTENT_TYPE: "application/octet-stream",
        hdrs.CONTENT_DISPOSITION: disposition(entry.name),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        hdrs.CACHE_CONTROL: "private, no-cache",
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.ETAG: etag_of(entry.tag),
        hdrs.LAST_MODIFIED: formatdate(entry.modified_ns / _NS, usegmt=True),
    }
    if file.stored.sha256:
        found[REPR_DIGEST] = header_value(file.stored.sha256)
    return found


def disposition(name: str) -> str:
    """Return what makes a browser store a file under its name, whatever characters that has (RFC 6266)."""
    readable = shown(name)
    plain = "".join(
        char if char.isascii() and char not in '"\\%' else "_" for char in readable
    )
    return (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(readable, safe='')}"
    )


def _unsatisfiable(request: web.Request, error: RangeError) -> web.Response:
    problem = problem_of(error, request[REQUEST_ID])
    response = problem_response(
        replace(problem, status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    )
    response.headers[hdrs.CONTENT_RANGE] = f"bytes */{error.size_bytes}"
    return response
