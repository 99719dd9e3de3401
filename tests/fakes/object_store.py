"""Stands in for an S3 store that keeps objects: one bucket, signatures checked, whole and in pieces."""

import asyncio
import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web

_FIELDS = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/s3/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class ObjectStore:
    """One bucket, opened by one pair of keys."""

    def __init__(self, bucket: str, region: str, key_id: str, secret: str) -> None:
        self.bucket, self.region = bucket, region
        self.key_id, self.secret = key_id, secret
        self.objects: dict[str, bytes] = {}
        self.pieces: dict[str, dict[int, bytes]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Do what the protocol says."""
        body = await request.read()
        if not self._is_signed(request, body):
            return _error(403, "SignatureDoesNotMatch")
        bucket, _, key = request.path.lstrip("/").partition("/")
        if bucket != self.bucket:
            return _error(404, "NoSuchBucket")
        if not key:
            return self._list(request)
        if "uploads" in request.query or "uploadId" in request.query:
            return self._in_pieces(request, key, body)
        return self._whole(request, key, body)

    def _whole(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if request.method == "PUT":
            self.objects[key] = body
            return web.Response(headers={"ETag": _etag(body)})
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return web.Response(status=204)
        if key not in self.objects:
            return _error(404, "NoSuchKey")
        found = self.objects[key]
        headers = {
            "ETag": _etag(found),
            "Last-Modified": "Sun, 22 Nov 2026 00:00:00 GMT",
        }
        return web.Response(body=found, headers=headers)

    def _in_pieces(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if "uploads" in request.query:
            self.pieces[key] = {}
            return _xml(
                f"<InitiateMultipartUploadResult {_NAMESPACE}><Bucket>{self.bucket}</Bucket><Key>{escape(key)}</Key>"
                "<UploadId>1</UploadId></InitiateMultipartUploadResult>"
            )
        if request.method == "PUT":
            self.pieces[key][int(request.query["partNumber"])] = body
            return web.Response(headers={"ETag": _etag(body)})
        found = self.pieces.pop(key, {})
        if request.method == "POST":
            self.objects[key] = b"".join(found[number] for number in sorted(found))
            return _xml(
                f"<CompleteMultipartUploadResult {_NAMESPACE}><Bucket>{self.bucket}</Bucket><Key>{escape(key)}</Key>"
                f"<ETag>{_etag(self.objects[key])}</ETag></CompleteMultipartUploadResult>"
            )
        return web.Response(status=204)

    def _list(self, request: web.Request) -> web.Response:
        prefix = request.query.get("prefix", "")
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified>"
            f"<ETag>{_etag(data)}</ETag><Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return _xml(
            f"<ListBucketResult {_NAMESPACE}><Name>{self.bucket}</Name><IsTruncated>false</IsTruncated>"
            f"{items}</ListBucketResult>"
        )

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        found = _FIELDS.fullmatch(request.headers.get("Authorization", ""))
        if found is None or found[1] != self.key_id or found[3] != self.region:
            return False
        digest = request.headers["x-amz-content-sha256"]
        if digest != hashlib.sha256(body).hexdigest():
            return False
        lines = [
            f"{name}:{request.headers[name].strip()}\n" for name in found[4].split(";")
        ]
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(request.query.items())
        )
        asked = f"{request.method}\n{request.path}\n{query}\n{''.join(lines)}\n{found[4]}\n{digest}"
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256",
                request.headers["x-amz-date"],
                f"{found[2]}/{found[3]}/s3/aws4_request",
                hashlib.sha256(asked.encode()).hexdigest(),
            )
        )
        key = hmac.new(f"AWS4{self.secret}".encode(), found[2].encode(), "sha256")
        for part in (found[3], "s3", "aws4_request", text):
            key = hmac.new(key.digest(), part.encode(), "sha256")
        return hmac.compare_digest(key.hexdigest(), found[5])


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _xml(text: str) -> web.Response:
    return web.Response(
        text=f'<?xml version="1.0"?>{text}', content_type="application/xml"
    )


def _error(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message><Resource>/</Resource></Error>"
    return web.Response(
        status=status,
        text=f'<?xml version="1.0"?>{text}',
        content_type="application/xml",
    )


@contextmanager
def standing_in(store: ObjectStore, port: int) -> Iterator[str]:
    """Serve the store from a thread, for clients that block, and give its endpoint."""
    loop = asyncio.new_event_loop()

    async def begin() -> web.AppRunner:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", store.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    runner = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()
