"""Stands in front of a registry, writes down every request, and is unkind to those it is told to be unkind to."""

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

#: ``status``: answer so. ``cut``: close the connection. ``stall``: say nothing for ever. ``truncate``: announce more than is
#: sent. ``lie``: name another digest. ``swap``: send other bytes.
Action = Literal["status", "cut", "stall", "truncate", "lie", "swap"]
_HOP = {"transfer-encoding", "connection", "content-length", "host", "keep-alive"}
_OTHER = "sha256:" + "0" * 64


@dataclass
class Fault:
    """What to do to which requests."""

    #: Of the method, whole.
    method: str
    #: Of the path, anywhere in it.
    path: str
    action: Action = "status"
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: How many matching requests pass before.
    skip: int = 0
    #: How many are hit then.
    times: int = 1_000_000
    #: Whether the registry gets the request, and only its answer is lost.
    arrives: bool = False
    #: How many were hit.
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Tell whether this request is hit, and count it."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass
class Seen:
    """One request that came by."""

    method: str
    path: str
    query: str
    #: Bytes of its body.
    sent: int = 0
    #: Of the answer; 0: there was none.
    status: int = 0
    has_authorization: bool = False


@dataclass
class FaultProxy:
    """A running proxy; faults may be added and removed while it runs."""

    #: ``127.0.0.1:PORT``.
    host: str
    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    #: Bytes of a body a second; 0: as fast as they come.
    bytes_per_s: int = 0

    def bodies(self) -> int:
        """Return the bytes of blobs that came by."""
        return sum(item.sent for item in self.seen if "/blobs/uploads/" in item.path)

    def count(self, method: str, path: str) -> int:
        """Return how many such requests came by."""
        return sum(
            item.method == method and re.search(path, item.path) is not None
            for item in self.seen
        )

    async def handle(
        self, request: web.BaseRequest, session: aiohttp.ClientSession
    ) -> web.StreamResponse:
        """Answer one request."""
        seen = Seen(request.method, request.path, request.query_string)
        seen.has_authorization = "Authorization" in request.headers
        self.seen.append(seen)
        fault = next(
            (f for f in self.faults if f.strikes(request.method, request.path)), None
        )
        if fault is None or fault.arrives or fault.action in {"lie", "swap"}:
            answer = await self._forward(request, session, seen)
        else:
            answer = web.Response()
        if fault is not None:
            answer = await self._strike(fault, request, answer)
        seen.status = answer.status
        return answer

    async def _forward(
        self, request: web.BaseRequest, session: aiohttp.ClientSession, seen: Seen
    ) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        headers["Host"] = self.host

        async def body() -> AsyncIterator[bytes]:
            async for chunk in request.content.iter_chunked(64 * 1024):
                seen.sent += len(chunk)
                if self.bytes_per_s:
                    await asyncio.sleep(len(chunk) / self.bytes_per_s)
                yield chunk

        if (length := request.headers.get("Content-Length")) is not None:
            headers["Content-Length"] = length
        has_body = request.can_read_body
        async with session.request(
            request.method,
            f"http://{self.upstream}{request.raw_path}",
            headers=headers,
            data=body() if has_body else None,
            allow_redirects=False,
        ) as response:
            kept = {k: v for k, v in response.headers.items() if k.lower() not in _HOP}
            if request.method == "HEAD" and "Content-Length" in response.headers:
                kept["Content-Length"] = response.headers["Content-Length"]
            return web.Response(
                status=response.status, headers=kept, body=await response.read()
            )

    async def _strike(
        self, fault: Fault, request: web.BaseRequest, answer: web.Response
    ) -> web.Response:
        assert request.transport is not None
        match fault.action:
            case "status":
                return web.Response(
                    status=fault.status, headers=fault.headers, body=fault.body
                )
            case "stall":
                await asyncio.sleep(3600)
            case "cut":
                request.transport.abort()
            case "truncate":
                _write_half(request.transport, request.method, answer)
            case "lie":
                answer.headers["Docker-Content-Digest"] = _OTHER
                return answer
            case "swap":
                answer.body = b'{"schemaVersion": 2, "layers": []}'
                answer.headers.popall("Docker-Content-Digest", None)
                return answer
        raise asyncio.CancelledError


def _write_half(
    transport: asyncio.Transport, method: str, answer: web.Response
) -> None:
    lines = [f"HTTP/1.1 {answer.status} OK"]
    lines += [f"{k}: {v}" for k, v in answer.headers.items() if k != "Content-Length"]
    if method == "HEAD":
        transport.write("\r\n".join(lines).encode())  # and no end of the head
    else:
        lines += ["Content-Length: 4096", "", '{"half":']
        transport.write("\r\n".join(lines).encode())
    transport.close()


async def _serve(proxy: FaultProxy, started: threading.Event) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        server = web.Server(lambda request: proxy.handle(request, session))
        runner = web.ServerRunner(
            server, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.host = f"127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await runner.shutdown()
        await runner.cleanup()


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """Run a proxy before ``upstream`` (``host:port``) in a thread and on a port of its own."""
    started = threading.Event()
    proxy = FaultProxy("", upstream)
    loop = asyncio.new_event_loop()
    task = loop.create_task(_serve(proxy, started))

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
