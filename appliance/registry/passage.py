"""What one push says to the registry, and what becomes of it.

The first thing that goes wrong ends the attempt: from then on the engine gets a refusal that it does not try to get round, and
who pushes reads ``failure``. Tags never reach the registry: manifests are written by their digest.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qsl

import aiohttp
import structlog
from aiohttp import web
from yarl import URL

from appliance.registry.client import MAX_MANIFEST_BYTES, RegistryClient, check_digest
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import (
    MANIFEST_TYPES,
    digest_of,
    is_digest,
    pull_scopes,
    push_scopes,
)

log = structlog.get_logger("registry.push")

CHUNK_BYTES = 256 * 1024
_REST = re.compile(
    r"blobs/uploads/(?P<upload>[0-9a-f]*)|blobs/(?P<blob>sha256:[0-9a-f]{64})|manifests/(?P<manifest>[^/]+)"
)
#: The registry needs a moment to look at what it was sent before an answer was lost.
_SECOND_LOOK_S = 1.0

Answer = web.Response


class Passage:
    """One push on its way to one repository.

    Args:
        client: Of the registry.
        repository: Without the host.
        name: What the engine calls it: ``127.0.0.1:PORT/SECRET/REPOSITORY``.
    """

    def __init__(self, client: RegistryClient, repository: str, name: str) -> None:
        """Keep the parts; nothing has passed yet."""
        self.name = name
        self.repository = repository
        #: What ended this attempt.
        self.failure: RegistryError | None = None
        #: Of the last manifest that was written: an index comes after what it names.
        self.digest: str | None = None
        #: Bytes of layers that the registry took.
        self.sent_bytes = 0
        self._client = client
        self._scopes = push_scopes(repository)
        self._base = "/v2/" + name.partition("/")[2]
        self._uploads: dict[str, URL] = {}
        self._kept_digests: set[str] = set()
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._is_closed = False
        #: Set once the attempt has failed: nothing more will come of it.
        self.is_over = asyncio.Event()

    def begin(self) -> None:
        """Start another attempt."""
        self.failure = None
        self.digest = None
        self._uploads.clear()
        self._kept_digests.clear()
        self.is_over.clear()

    def close(self) -> None:
        """Cut whatever is under way."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()

    async def answer(self, request: web.BaseRequest, rest: str) -> Answer:
        """Answer the engine."""
        task = asyncio.ensure_future(self._guarded(request, rest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            if self._is_closed:
                return self._over()
            raise

    async def _guarded(self, request: web.BaseRequest, rest: str) -> Answer:
        if self.failure is not None:
            return self._over()
        try:
            return await self._answer(request, rest)
        except RegistryError as error:
            self._fail(error)
        except (aiohttp.ClientPayloadError, ConnectionError):
            # The engine itself hung up; it tells why on its own stream.
            raise
        except Exception as error:
            log.exception("registry door failed", repository=self.repository)
            words = f"The push failed: {type(error).__name__}."
            self._fail(RegistryError(ErrorKind.UNKNOWN, words))
        return self._over()

    def _fail(self, error: RegistryError) -> None:
        if self.failure is None:
            self.failure = error
            self.is_over.set()

    def _over(self) -> Answer:
        words = {"code": "DENIED", "message": "the push has ended"}
        return web.json_response({"errors": [words]}, status=HTTPStatus.FORBIDDEN)

    async def _answer(self, request: web.BaseRequest, rest: str) -> Answer:
        prefix = f"{self.repository}/"
        found = _REST.fullmatch(rest.removeprefix(prefix))
        if found is None or not rest.startswith(prefix):
            return Answer(status=HTTPStatus.NOT_FOUND)
        ways: dict[tuple[str, str], Callable[[web.BaseRequest, str], Awaitable[Answer]]]
        ways = {
            ("HEAD", "blob"): self._look_for_blob,
            ("POST", "upload"): self._begin_upload,
            ("PATCH", "upload"): self._send,
            ("PUT", "upload"): self._finish_upload,
            ("DELETE", "upload"): self._drop_upload,
            ("HEAD", "manifest"): self._look_for_manifest,
            ("PUT", "manifest"): self._write_manifest,
        }
        kind = found.lastgroup or ""
        way = ways.get((request.method, kind))
        if way is None:
            return Answer(status=HTTPStatus.METHOD_NOT_ALLOWED)
        return await way(request, found[kind])

    # -- layers

    async def _look_for_blob(self, _request: web.BaseRequest, digest: str) -> Answer:
        doing = self._doing("look for layer", digest)
        path = f"/v2/{self.repository}/blobs/{digest}"
        async with self._client.send(
            "HEAD", path, doing=doing, scopes=self._scopes
        ) as response:
            # Not there is no refusal, unless the registry has just said that it took it.
            if (
                response.status == HTTPStatus.NOT_FOUND
                and digest not in self._kept_digests
            ):
                return Answer(status=HTTPStatus.NOT_FOUND)
            await self._client.demand(response, doing, {HTTPStatus.OK})
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)
            return Answer(
                headers={
                    "Content-Length": response.headers.get("Content-Length", "0"),
                    "Docker-Content-Digest": digest,
                }
            )

    async def _begin_upload(self, request: web.BaseRequest, _upload: str) -> Answer:
        query, scopes = self._mount(dict(parse_qsl(request.query_string)))
        doing = self._doing("begin an upload")
        path = URL(f"/v2/{self.repository}/blobs/uploads/")
        for parameters, wanted in ((query, scopes), ({}, self._scopes)):
            url = self._client.origin.join(path.with_query(parameters))
            async with self._client.send(
                "POST", url, doing=doing, scopes=wanted
            ) as response:
                if parameters and response.status in {
                    HTTPStatus.UNAUTHORIZED,
                    HTTPStatus.FORBIDDEN,
                    HTTPStatus.NOT_FOUND,
                }:
                    continue  # it does not lend from there; then it is sent
                if parameters and response.status == HTTPStatus.CREATED:
                    digest = parameters["mount"]
                    told = response.headers.get("Docker-Content-Digest")
                    check_digest(doing, told, digest)
                    return self._kept(digest)
                await self._client.demand(response, doing, {HTTPStatus.ACCEPTED})
                return self._go_on(
                    self._client.own(response.headers.get("Location", ""))
                )
        raise RegistryError(ErrorKind.UNKNOWN, f"{doing}: no answer fits.")

    def _mount(self, query: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return how to ask for a layer of another repository of ours, and the scopes for it; otherwise nothing."""
        source = query.get("from", "").partition("/")[2]
        namespace = self.repository.rpartition("/")[0]
        if (
            not is_digest(query.get("mount", ""))
            or not source
            or source.rpartition("/")[0] != namespace
        ):
            return {}, self._scopes
        wanted = {"mount": query["mount"], "from": source}
        return wanted, (*self._scopes, *pull_scopes(source))

    async def _send(self, request: web.BaseRequest, upload: str) -> Answer:
        url = self._upload(upload)
        if url is None:
            return Answer(status=HTTPStatus.NOT_FOUND)
        doing = self._doing("send a layer")
        headers = {"Content-Type": "application/octet-stream"}
        if "Content-Range" in request.headers:
            headers["Content-Range"] = request.headers["Content-Range"]
        stream = _Stream(request, self._client.timeout_s)
        location = await self._patch(url, stream, headers, doing)
        self.sent_bytes += stream.count
        answer = self._go_on(location)
        answer.headers["Range"] = f"0-{max(0, stream.count - 1)}"
        return answer

    async def _patch(
        self, url: URL, stream: "_Stream", headers: dict[str, str], doing: str
    ) -> URL:
        try:
            async with (
                stream.patience(),
                self._client.send(
                    "PATCH",
                    url,
                    doing=doing,
                    scopes=self._scopes,
                    headers=headers,
                    data=stream.chunks(),
                ) as response,
            ):
                accepted = {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}
                await self._client.demand(response, doing, accepted)
                return self._client.own(response.headers.get("Location", ""))
        except TimeoutError as error:
            raise _stalled(doing, self._client.timeout_s) from error
        except RegistryError:
            stream.check()
            raise

    async def _finish_upload(self, request: web.BaseRequest, upload: str) -> Answer:
        digest = request.query.get("digest", "")
        url = self._upload(upload)
        if url is None or not is_digest(digest):
            return Answer(status=HTTPStatus.NOT_FOUND)
        stream = _Stream(request, self._client.timeout_s)
        if stream.has_body:
            # A stream that a lost connection ate must not be sent again, and a PUT may be.
            headers = {"Content-Type": "application/octet-stream"}
            doing = self._doing("send layer", digest)
            url = await self._patch(url, stream, headers, doing)
        try:
            await self._put(url.update_query(digest=digest), digest)
        except RegistryError as error:
            if not error.is_transient or not await self._is_there(digest):
                raise
        self.sent_bytes += stream.count
        self._uploads.pop(upload, None)
        return self._kept(digest)

    async def _put(self, url: URL, digest: str) -> None:
        doing = self._doing("finish layer", digest)
        async with self._client.send(
            "PUT", url, doing=doing, scopes=self._scopes
        ) as response:
            await self._client.demand(response, doing, {HTTPStatus.CREATED})
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)

    async def _is_there(self, digest: str) -> bool:
        """Tell whether a layer arrived although its answer was lost: then it need not be sent again."""
        for pause_s in (0.0, _SECOND_LOOK_S):
            await asyncio.sleep(pause_s)
            try:
                if await self._client.blob_exists(self.repository, digest):
                    return True
            except RegistryError:
                continue
        return False

    async def _drop_upload(self, _request: web.BaseRequest, upload: str) -> Answer:
        self._uploads.pop(upload, None)
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _upload(self, upload: str) -> URL | None:
        return self._uploads.get(upload)

    def _go_on(self, location: URL) -> Answer:
        upload = secrets.token_hex(16)
        self._uploads[upload] = location
        headers = {
            "Location": f"{self._base}/blobs/uploads/{upload}",
            "Docker-Upload-UUID": upload,
            "Range": "0-0",
        }
        return Answer(status=HTTPStatus.ACCEPTED, headers=headers)

    def _kept(self, digest: str) -> Answer:
        self._kept_digests.add(digest)
        headers = {
            "Location": f"{self._base}/blobs/{digest}",
            "Docker-Content-Digest": digest,
        }
        return Answer(status=HTTPStatus.CREATED, headers=headers)

    # -- manifests

    async def _look_for_manifest(
        self, _request: web.BaseRequest, reference: str
    ) -> Answer:
        if not is_digest(reference):
            return Answer(status=HTTPStatus.NOT_FOUND)  # there are no tags here
        try:
            found = await self._client.manifest(self.repository, reference)
        except RegistryError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            return Answer(status=HTTPStatus.NOT_FOUND)
        return Answer(
            headers={
                "Content-Length": str(len(found.body)),
                "Content-Type": found.media_type,
                "Docker-Content-Digest": found.digest,
            }
        )

    async def _write_manifest(
        self, request: web.BaseRequest, _reference: str
    ) -> Answer:
        body = await request.content.read(MAX_MANIFEST_BYTES)
        while not request.content.at_eof() and len(body) < MAX_MANIFEST_BYTES:
            body += await request.content.read(MAX_MANIFEST_BYTES)
        media_type = request.headers.get("Content-Type", "").partition(";")[0]
        if media_type not in MANIFEST_TYPES:
            return Answer(status=HTTPStatus.BAD_REQUEST)  # the engine's oldest form
        digest = digest_of(body)
        await self._client.put_manifest(self.repository, digest, body, media_type)
        self.digest = digest
        headers = {
            "Location": f"{self._base}/manifests/{digest}",
            "Docker-Content-Digest": digest,
        }
        return Answer(status=HTTPStatus.CREATED, headers=headers)

    def _doing(self, what: str, digest: str = "") -> str:
        named = f" {digest}" if digest else ""
        return f"Trying to {what}{named} at {self._client.host}/{self.repository}"


class _Stream:
    """A body on its way from the engine to the registry."""

    def __init__(self, request: web.BaseRequest, timeout_s: float) -> None:
        self._request = request
        self._timeout_s = timeout_s
        self._patience: asyncio.Timeout | None = None
        #: Bytes that were handed on.
        self.count = 0
        self._broken: Exception | None = None

    @property
    def has_body(self) -> bool:
        return self._request.can_read_body

    def patience(self) -> asyncio.Timeout:
        """Return what ends the sending when the registry takes nothing more; the engine may take its time."""
        self._patience = asyncio.timeout(None)
        return self._patience

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            self._wait_for_registry(is_awaited=False)
            try:
                chunk = await self._request.content.read(CHUNK_BYTES)
            except Exception as error:
                self._broken = error
                raise
            if not chunk:
                break
            self._wait_for_registry(is_awaited=True)
            self.count += len(chunk)
            yield chunk

    def check(self) -> None:
        """Tell the engine's failure from the registry's.

        Raises:
            RegistryError: The engine hung up in the middle.
        """
        if self._broken is not None:
            raise RegistryError(
                ErrorKind.ENGINE, "The engine broke off in the middle of a layer."
            ) from self._broken

    def _wait_for_registry(self, *, is_awaited: bool) -> None:
        if self._patience is not None:
            until = asyncio.get_running_loop().time() + self._timeout_s
            self._patience.reschedule(until if is_awaited else None)


def _stalled(doing: str, timeout_s: float) -> RegistryError:
    return RegistryError(
        ErrorKind.TIMEOUT, f"{doing}: the registry took nothing for {timeout_s:g} s."
    )
