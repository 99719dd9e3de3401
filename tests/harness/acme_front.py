"""Stands in front of pebble and is unkind: says that too much was asked, and when certificates are to be renewed (ARI).

Pebble knows neither. Everything else passes as it came, so what is signed fits what pebble sees.
"""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp import web

from tests.harness.pebble import Pebble
from tests.harness.ports import free_port

_PASSED = ("Content-Type", "Host", "User-Agent")
_BACK = ("Content-Type", "Location", "Replay-Nonce", "Link", "Retry-After")


@dataclass
class AcmeFront:
    """What it does at the moment."""

    port: int
    #: Seconds that are asked for when an order comes; ``None``: orders pass.
    limited_s: int | None = None
    #: When every certificate is to be renewed; ``None``: nothing is said.
    window: tuple[datetime, datetime] | None = None
    #: Paths of what came, the oldest first.
    seen: list[str] = field(default_factory=list)

    @property
    def directory_url(self) -> str:
        """ACME_DIRECTORY_URL."""
        return f"https://localhost:{self.port}/dir"

    def answer(self, path: str) -> web.Response | None:
        """Return what is answered instead of pebble; ``None``: pebble's own."""
        if path.startswith("/renewal-info/") and self.window:
            start, end = (moment.isoformat() for moment in self.window)
            return web.json_response({"suggestedWindow": {"start": start, "end": end}})
        if path == "/order-plz" and self.limited_s is not None:
            problem = {
                "type": "urn:ietf:params:acme:error:rateLimited",
                "detail": "too many certificates already issued",
                "status": 429,
            }
            return web.Response(
                status=429,
                text=json.dumps(problem),
                content_type="application/problem+json",
                headers={"Retry-After": str(self.limited_s), "Replay-Nonce": "AAAA"},
            )
        return None


@asynccontextmanager
async def acme_front(ca: Pebble) -> AsyncIterator[AcmeFront]:
    """Stand in front of ``ca`` until the end of the block."""
    front = AcmeFront(free_port())
    trusted = ssl.create_default_context(cafile=str(ca.ca_file))
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.Response:
            front.seen.append(request.path)
            if (own := front.answer(request.path)) is not None:
                return own
            try:
                return await _passed(request, session, ca.port, trusted, front)
            except aiohttp.ClientError:
                return web.Response(status=502, text="nobody is behind this")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(ca.ca_file, ca.home / "key.pem")
        await web.TCPSite(runner, "127.0.0.1", front.port, ssl_context=served).start()
        try:
            yield front
        finally:
            await runner.cleanup()


async def _passed(  # noqa: PLR0917 - what one exchange takes
    request: web.Request,
    session: aiohttp.ClientSession,
    port: int,
    trusted: ssl.SSLContext,
    front: AcmeFront,
) -> web.Response:
    headers = {name: request.headers[name] for name in _PASSED if name in request.headers}  # fmt: skip
    url = f"https://127.0.0.1:{port}{request.path_qs}"
    async with session.request(
        request.method,
        url,
        data=await request.read(),
        headers=headers,
        ssl=trusted,
        server_hostname="localhost",
    ) as answer:
        body = await answer.read()
        if request.path == "/dir" and front.window:
            body = _with_window(body, front.port)
        back = [(name, value) for name, value in answer.headers.items() if name in _BACK]  # fmt: skip
        return web.Response(status=answer.status, body=body, headers=back)


def _with_window(body: bytes, port: int) -> bytes:
    directory: dict[str, Any] = json.loads(body)
    directory["renewalInfo"] = f"https://localhost:{port}/renewal-info"
    return json.dumps(directory).encode()
