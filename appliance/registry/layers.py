"""Layers of one push: looked for, lent by another repository, or sent; none twice."""

import asyncio
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from aiohttp import web
from yarl import URL

from appliance.registry.body_stream import BodyStream
from appliance.registry.client import RegistryClient, check_digest
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import is_digest, pull_scopes, push_scopes

#: The registry needs a moment to look at what it was sent before an answer was lost.
_SECOND_LOOK_S = 1.0
#: How registries say that they do not lend a layer.
_NOT_LENT = frozenset(
    {
        ErrorKind.AUTH_EXPIRED,
        ErrorKind.UNAUTHORIZED,
        ErrorKind.DENIED,
        ErrorKind.NOT_FOUND,
    }
)

Answer = web.Response


@dataclass(frozen=True)
class Whereto:
    """Where a push goes."""

    client: RegistryClient
    #: Without the host.
    repository: str
    #: What the engine's addresses begin with.
    base: str

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a push needs."""
        return push_scopes(self.repository)

    def doing(self, what: str, digest: str = "") -> str:
        """Return what is being done, as errors name it."""
        named = f" {digest}" if digest else ""
        return f"Trying to {what}{named} at {self.client.host}/{self.repository}"


class Layers:
    """What one push says of layers."""

    def __init__(self, where: Whereto) -> None:
        """Keep the parts; nothing has passed yet."""
        self._where = where
        #: Bytes that the registry took.
        self.sent_bytes = 0
        self._uploads: dict[str, URL] = {}
        self._kept_digests: set[str] = set()

    def begin(self) -> None:
        """Start another attempt."""
        self._uploads.clear()
        self._kept_digests.clear()

    async def look_for_blob(self, _request: web.BaseRequest, digest: str) -> Answer:
        """Tell whether the registry has a layer."""
        doing = self._where.doing("look for layer", digest)
        path = f"/v2/{self._where.repository}/blobs/{digest}"
        async with self._where.client.send(
            "HEAD", path, doing=doing, scopes=self._where.scopes
        ) as response:
            # Not there is no refusal, unless the registry has just said that it took it.
            if (
                response.status == HTTPStatus.NOT_FOUND
                and digest not in self._kept_digests
            ):
                return Answer(status=HTTPStatus.NOT_FOUND)
            await self._where.client.demand(response, doing, {HTTPStatus.OK})
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)
            return Answer(
                headers={
                    "Content-Length": response.headers.get("Content-Length", "0"),
                    "Docker-Content-Digest": digest,
                }
            )

    async def begin_upload(self, request: web.BaseRequest, _upload: str) -> Answer:
        """Begin to send a layer, unless another repository of ours lends it."""
        query, scopes = self._mount(dict(parse_qsl(request.query_string)))
        if query:
            try:
                return await self._post(query, scopes)
            except RegistryError as error:
                if error.kind not in _NOT_LENT:
                    raise
        return await self._post({}, self._where.scopes)

    async def _post(self, query: dict[str, str], scopes: tuple[str, ...]) -> Answer:
        doing = self._where.doing("begin an upload")
        client = self._where.client
        path = URL(f"/v2/{self._where.repository}/blobs/uploads/").with_query(query)
        async with client.send(
            "POST", client.origin.join(path), doing=doing, scopes=scopes
        ) as response:
            if query and response.status == HTTPStatus.CREATED:
                told = response.headers.get("Docker-Content-Digest")
                check_digest(doing, told, query["mount"])
                return self._kept(query["mount"])
            await client.demand(response, doing, {HTTPStatus.ACCEPTED})
            return self._go_on(client.own(response.headers.get("Location", "")))

    def _mount(self, query: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return how to ask for a layer of another repository of ours, and the scopes for it; otherwise nothing."""
        source = query.get("from", "").partition("/")[2]
        namespace = self._where.repository.rpartition("/")[0]
        if (
            not is_digest(query.get("mount", ""))
            or not source
            or source.rpartition("/")[0] != namespace
        ):
            return {}, self._where.scopes
        wanted = {"mount": query["mount"], "from": source}
        return wanted, (*self._where.scopes, *pull_scopes(source))

    async def send(self, request: web.BaseRequest, upload: str) -> Answer:
        """Send a layer as it comes from the engine."""
        url = self._upload(upload)
        if url is None:
            return Answer(status=HTTPStatus.NOT_FOUND)
        doing = self._where.doing("send a layer")
        headers = {"Content-Type": "application/octet-stream"}
        if "Content-Range" in request.headers:
            headers["Content-Range"] = request.headers["Content-Range"]
        stream = BodyStream(request, self._where.client.timeout_s)
        location = await self._patch(url, stream, headers, doing)
        self.sent_bytes += stream.count
        answer = self._go_on(location)
        answer.headers["Range"] = f"0-{max(0, stream.count - 1)}"
        return answer

    async def _patch(
        self, url: URL, stream: BodyStream, headers: dict[str, str], doing: str
    ) -> URL:
        try:
            async with (
                stream.patience(),
                self._where.client.send(
                    "PATCH",
                    url,
                    doing=doing,
                    scopes=self._where.scopes,
                    headers=headers,
                    data=stream.chunks(),
                ) as response,
            ):
                accepted = {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}
                await self._where.client.demand(response, doing, accepted)
                return self._where.client.own(response.headers.get("Location", ""))
        except TimeoutError as error:
            raise _stalled(doing, self._where.client.timeout_s) from error
        except RegistryError:
            stream.check()
            raise

    async def finish_upload(self, request: web.BaseRequest, upload: str) -> Answer:
        """Have what was sent kept under its digest."""
        digest = request.query.get("digest", "")
        url = self._upload(upload)
        if url is None or not is_digest(digest):
            return Answer(status=HTTPStatus.NOT_FOUND)
        stream = BodyStream(request, self._where.client.timeout_s)
        if stream.has_body:
            # A stream that a lost connection ate must not be sent again, and a PUT may be.
            headers = {"Content-Type": "application/octet-stream"}
            doing = self._where.doing("send layer", digest)
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
        doing = self._where.doing("finish layer", digest)
        async with self._where.client.send(
            "PUT", url, doing=doing, scopes=self._where.scopes
        ) as response:
            await self._where.client.demand(response, doing, {HTTPStatus.CREATED})
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)

    async def _is_there(self, digest: str) -> bool:
        """Tell whether a layer arrived although its answer was lost: then it need not be sent again."""
        for pause_s in (0.0, _SECOND_LOOK_S):
            await asyncio.sleep(pause_s)
            try:
                if await self._where.client.blob_exists(self._where.repository, digest):
                    return True
            except RegistryError:
                continue
        return False

    async def drop_upload(self, _request: web.BaseRequest, upload: str) -> Answer:
        """Forget an upload; the registry does so by itself."""
        self._uploads.pop(upload, None)
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _upload(self, upload: str) -> URL | None:
        return self._uploads.get(upload)

    def _go_on(self, location: URL) -> Answer:
        upload = secrets.token_hex(16)
        self._uploads[upload] = location
        headers = {
            "Location": f"{self._where.base}/blobs/uploads/{upload}",
            "Docker-Upload-UUID": upload,
            "Range": "0-0",
        }
        return Answer(status=HTTPStatus.ACCEPTED, headers=headers)

    def _kept(self, digest: str) -> Answer:
        self._kept_digests.add(digest)
        headers = {
            "Location": f"{self._where.base}/blobs/{digest}",
            "Docker-Content-Digest": digest,
        }
        return Answer(status=HTTPStatus.CREATED, headers=headers)


def _stalled(doing: str, timeout_s: float) -> RegistryError:
    return RegistryError(
        ErrorKind.TIMEOUT, f"{doing}: the registry took nothing for {timeout_s:g} s."
    )
