"""Stands in for an S3 service as far as a look at a bucket goes: it checks signatures, and knows one bucket."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

_FIELDS = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/s3/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


class BucketStandIn:
    """One bucket, opened by one pair of keys."""

    def __init__(self, bucket: str, region: str, key_id: str, secret: str) -> None:
        self.bucket, self.region = bucket, region
        self.key_id, self.secret = key_id, secret
        self.asked: list[str] = []

    async def look(self, request: web.Request) -> web.Response:
        """Answer as the protocol says, without a body."""
        self.asked.append(f"{request.method} {request.path}")
        if not self._is_signed(request):
            return web.Response(status=403)
        if request.match_info["bucket"] != self.bucket:
            return web.Response(status=404)
        return web.Response(headers={"x-amz-bucket-region": self.region})

    def _is_signed(self, request: web.Request) -> bool:
        found = _FIELDS.fullmatch(request.headers.get("Authorization", ""))
        if found is None or found[1] != self.key_id or found[3] != self.region:
            return False
        names = found[4].split(";")
        lines = [f"{name}:{request.headers[name].strip()}\n" for name in names]
        body = request.headers["x-amz-content-sha256"]
        asked = (
            f"{request.method}\n{request.path}\n\n{''.join(lines)}\n{found[4]}\n{body}"
        )
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256",
                request.headers["x-amz-date"],
                f"{found[2]}/{found[3]}/s3/aws4_request",
                hashlib.sha256(asked.encode()).hexdigest(),
            )
        )
        key = hmac.new(f"AWS4{self.secret}".encode(), found[2].encode(), "sha256")
        for part in (found[3], "s3", "aws4_request"):
            key = hmac.new(key.digest(), part.encode(), "sha256")
        signature = hmac.new(key.digest(), text.encode(), "sha256").hexdigest()
        return hmac.compare_digest(signature, found[5])


@asynccontextmanager
async def standing_in(bucket: BucketStandIn, host: str) -> AsyncIterator[str]:
    """Give the endpoint at which the bucket is."""
    app = web.Application()
    app.router.add_route("HEAD", "/{bucket}", bucket.look)
    server = TestServer(app, host=host)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()
