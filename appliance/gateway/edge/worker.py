"""A worker: speaks HTTP to clients, checks keys in memory, forwards. What strangers send is read here, away from the engine."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog

from appliance.core.cards import Site
from appliance.gateway.config import GatewayConfig
from appliance.gateway.counters import Counter, CounterRow
from appliance.gateway.edge.cards import Discovery
from appliance.gateway.edge.forward import LISTEN, Forwarder
from appliance.gateway.edge.guard import Guard, is_loopback
from appliance.gateway.edge.keys import Admission, Denial, admit, presented_key
from appliance.gateway.edge.sessions import SessionSigner
from appliance.gateway.http import messages as http
from appliance.gateway.http.handling import peer_address
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.protocol import wire
from appliance.gateway.routes import LiveTable
from appliance.gateway.traces.record import NoRecorder, Recorder

log = structlog.get_logger("gateway.worker")

_ENDPOINT = re.compile(r"/servers/([a-z0-9-]{1,63})/mcp/?")
_METHODS = {"POST", "GET", "DELETE"}
_SERVER_ERROR = 500
_CLIENT_ERROR = 400


class Worker:
    """Answers clients.

    Args:
        recorder: Takes in what became of every call.
        retire: Called once when the worker has answered as many requests as it may.
    """

    def __init__(
        self,
        config: GatewayConfig,
        table: LiveTable,
        upstreams: Upstreams,
        counters: CounterRow,
        *,
        recorder: Recorder = NoRecorder(),  # noqa: B008 - it holds nothing
        retire: Callable[[], None] = lambda: None,
    ) -> None:
        """Put together what every call uses."""
        self._recorder = recorder
        self._table = table
        self._upstreams = upstreams
        self._counters = counters
        self._retire = retire
        self._guard = Guard(config.own_hosts)
        self._internal_key_hash = bytes.fromhex(config.internal_key_hash)
        self._discovery = Discovery(
            Site(config.domain, config.public_url), self._internal_key_hash
        )
        self._forwarder = Forwarder(
            upstreams,
            SessionSigner(bytes.fromhex(config.session_key)),
            timeout_s=config.timeout_s,
            max_body_bytes=config.max_body_bytes,
        )
        self._calls_left = _calls_to_live(config)
        self._streams: set[asyncio.Task[object]] = set()

    async def handle(self, request: http.Request) -> http.Answer:
        """Answer one request."""
        match = _ENDPOINT.fullmatch(request.path)
        if match is not None:
            return await self._endpoint(request, match[1])
        if self._discovery.answers(request.path):
            return self._discover(request)
        if request.path == "/healthz":
            return http.text_answer("ok\n")
        if request.path == "/readyz":
            return await self._ready()
        if request.path == "/metrics" and _is_local(request):
            return http.text_answer(self._counters.counters.render())
        return http.text_answer(
            "There is nothing here. Endpoints are /servers/<name>/mcp.\n", status=404
        )

    def _discover(self, request: http.Request) -> http.Answer:
        table = self._table.current
        if table is None:
            return _not_loaded()
        found = self._discovery.document(
            request.method,
            request.path,
            table=table,
            key=presented_key(request.headers),
            known_tag=request.headers.get("If-None-Match"),
            now=time.time(),
        )
        return http.document(
            found.body, found.content_type, status=found.status, headers=found.headers
        )

    def end_streams(self) -> None:
        """Close the open GET streams; their clients open them again, elsewhere."""
        for task in self._streams:
            task.cancel()

    async def _endpoint(self, request: http.Request, name: str) -> http.Answer:
        started = time.perf_counter()
        outcome = Counter.CALLS_FAILED
        try:
            response = await self._admitted(request, name)
            outcome = _outcome(response.status)
            return response
        finally:
            duration_s = time.perf_counter() - started
            self._counters.call(outcome, duration_s)
            log.debug(
                "call",
                server=name,
                method=request.method,
                outcome=outcome.name.lower(),
                milliseconds=round(duration_s * 1000, 3),
            )
            self._count_down()

    async def _admitted(self, request: http.Request, name: str) -> http.Answer:
        if self._is_foreign(request):
            return _forbidden()
        table = self._table.current
        if table is None:
            return _not_loaded()
        key = presented_key(request.headers)
        admission = admit(table, self._internal_key_hash, key, name, at=time.time())
        if isinstance(admission, Denial):
            return _denied(admission)
        if request.method not in _METHODS:
            return http.empty(405, headers={"Allow": ", ".join(sorted(_METHODS))})
        if request.method == "GET" or request.headers.get("Mcp-Method") == LISTEN:
            return await self._stream(request, admission)
        return await self._forwarder.forward(request, admission)

    async def _stream(self, request: http.Request, admission: Admission) -> http.Answer:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in a task
        self._streams.add(task)
        self._counters.add(Counter.STREAMS_OPENED)
        try:
            return await self._forwarder.forward(request, admission)
        finally:
            self._streams.discard(task)
            self._counters.add(Counter.STREAMS_CLOSED)

    def _is_foreign(self, request: http.Request) -> bool:
        if self._guard.refuses_origin(request.headers.get("Origin")):
            return True
        address = peer_address(request.connection, "sockname")
        return self._guard.refuses_host(
            request.headers.get("Host"),
            local_address=address or None,
            is_proxied="X-Forwarded-For" in request.headers,
        )

    async def _ready(self) -> http.Answer:
        state = {
            "routes": "ok"
            if self._table.current is not None
            else "not loaded: Postgres does not answer",
            "bridge": "ok" if await self._bridge_answers() else "does not answer",
        }
        is_ready = all(value == "ok" for value in state.values())
        return http.json_answer(wire.encode(state), status=200 if is_ready else 503)

    async def _bridge_answers(self) -> bool:
        try:
            async with (
                asyncio.timeout(2),
                await self._upstreams.bridge.request(
                    "GET", "/healthz", (), b""
                ) as answer,
            ):
                return answer.head.status == HTTPStatus.OK
        except OSError:  # TimeoutError is one
            return False

    def _count_down(self) -> None:
        if self._calls_left > 0:
            self._calls_left -= 1
            if self._calls_left == 0:
                self._retire()


def _calls_to_live(config: GatewayConfig) -> int:
    """Return how many calls this worker serves; 0: no limit."""
    if not config.max_requests:
        return 0
    return config.max_requests + random.randint(0, config.max_requests_jitter)  # noqa: S311 - spreads restarts


def _outcome(status: int) -> Counter:
    if status >= _SERVER_ERROR:
        return Counter.CALLS_FAILED
    return Counter.CALLS_REFUSED if status >= _CLIENT_ERROR else Counter.CALLS_OK


def _is_local(request: http.Request) -> bool:
    """Whether somebody on this box asks, and not through a proxy."""
    return is_loopback(request.remote) and "X-Forwarded-For" not in request.headers


def _forbidden() -> http.Answer:
    body = wire.error_body(
        wire.NULL,
        wire.REFUSED,
        "This Origin or Host may not call the gateway; PUBLIC_URL names its own.",
    )
    return http.json_answer(body, status=403)


def _not_loaded() -> http.Answer:
    body = wire.error_body(
        wire.NULL,
        wire.UNAVAILABLE,
        "The gateway has just started and does not know its servers yet.",
    )
    return http.json_answer(body, status=503, headers={"Retry-After": "1"})


def _denied(denial: Denial) -> http.Answer:
    if denial is Denial.NOT_FOUND:
        body = wire.error_body(
            wire.NULL,
            wire.REFUSED,
            "There is no such server, or this key does not open it.",
        )
        return http.json_answer(body, status=404)
    challenge = 'Bearer realm="mcp-host"'
    if denial is Denial.UNKNOWN_KEY:
        challenge += ', error="invalid_token"'
    text = (
        "A key is needed: Authorization: Bearer <key>."
        if denial is Denial.NO_KEY
        else "The key is not known or has expired."
    )
    body = wire.error_body(wire.NULL, wire.REFUSED, text)
    return http.json_answer(body, status=401, headers={"WWW-Authenticate": challenge})
