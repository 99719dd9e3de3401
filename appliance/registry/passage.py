"""What one push says to the registry, and what becomes of it.

The first thing that goes wrong ends the attempt: from then on the engine gets a refusal that it does not try to get round, and
who pushes reads ``failure``. Tags never reach the registry: manifests are written by their digest.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import aiohttp
import structlog
from aiohttp import web

from appliance.core.digests import digest_of
from appliance.registry.client import MAX_MANIFEST_BYTES, RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.layers import Answer, Layers, Whereto
from appliance.registry.model import (
    MANIFEST_TYPES,
    is_digest,
)

log = structlog.get_logger("registry.push")

_REST = re.compile(
    r"blobs/uploads/(?P<upload>[0-9a-f]*)|blobs/(?P<blob>sha256:[0-9a-f]{64})|manifests/(?P<manifest>[^/]+)"
)


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
        self._client = client
        self._base = "/v2/" + name.partition("/")[2]
        self.layers = Layers(Whereto(client, repository, self._base))
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._is_closed = False
        self._attempt = 0
        #: Set once the attempt has failed: nothing more will come of it.
        self.is_over = asyncio.Event()

    def begin(self) -> None:
        """Start another attempt; what still comes in from the one before has no say in it."""
        self._attempt += 1
        self.failure = None
        self.digest = None
        self.layers.begin()
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
        attempt = self._attempt
        try:
            return await self._answer(request, rest)
        except RegistryError as error:
            self._fail(attempt, error)
        except (aiohttp.ClientPayloadError, ConnectionError):
            # The engine itself hung up; it tells why on its own stream.
            raise
        except Exception as error:
            log.exception("registry door failed", repository=self.repository)
            words = f"The push failed: {type(error).__name__}."
            self._fail(attempt, RegistryError(ErrorKind.UNKNOWN, words))
        return self._over()

    def _fail(self, attempt: int, error: RegistryError) -> None:
        # The engine breaks off what an ended attempt was sending, and may do so after the next has begun.
        if self.failure is None and attempt == self._attempt:
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
            ("HEAD", "blob"): self.layers.look_for_blob,
            ("POST", "upload"): self.layers.begin_upload,
            ("PATCH", "upload"): self.layers.send,
            ("PUT", "upload"): self.layers.finish_upload,
            ("DELETE", "upload"): self.layers.drop_upload,
            ("HEAD", "manifest"): self._look_for_manifest,
            ("PUT", "manifest"): self._write_manifest,
        }
        kind = found.lastgroup or ""
        way = ways.get((request.method, kind))
        if way is None:
            return Answer(status=HTTPStatus.METHOD_NOT_ALLOWED)
        return await way(request, found[kind])

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
