"""A worker: speaks HTTP to clients, checks keys in memory, forwards. What strangers send is read here, away from the engine."""

import asyncio
import hmac
import logging
import random
import re
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

import msgspec
from multidict import CIMultiDict

from appliance.core.cards import CARD_SUFFIX, CORS, Site
from appliance.core.ids import key_hash
from appliance.core.proxies import TrustedProxies, networks_of
from appliance.gateway.announcements import Announcements
from appliance.gateway.config import GatewayConfig, departures_directory
from appliance.gateway.counters import CounterRow
from appliance.gateway.edge import authority, departures, failures, own_names
from appliance.gateway.edge.address import Addresses
from appliance.gateway.edge.authority import Authority
from appliance.gateway.edge.cards import Discovery
from appliance.gateway.edge.desk import Desk
from appliance.gateway.edge.eras import Eras
from appliance.gateway.edge.guard import Guard, is_loopback
from appliance.gateway.edge.keys import Admission, presented_key
from appliance.gateway.edge.learning import Learner, Starting
from appliance.gateway.edge.limits import Limiter
from appliance.gateway.edge.places import METHODS, place_at, place_of
from appliance.gateway.edge.plan import CallPlan
from appliance.gateway.edge.sessions import SessionSigner
from appliance.gateway.edge.states import StateBinder
from appliance.gateway.edge.tokens import is_token
from appliance.gateway.http import heads
from appliance.gateway.http import messages as http
from appliance.gateway.http.handling import HandlerPlan, peer_address
from appliance.gateway.http.listener import Connection, KnownHeads, Plan
from appliance.gateway.http.requests import RequestHead
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.names import Name, host_of
from appliance.gateway.protocol import wire
from appliance.gateway.routes import LiveTable
from appliance.gateway.traces.record import NoRecorder, Recorder

#: Of a request that is refused by its head: read, so that the connection can be kept, and dropped.
REFUSED_BODY_BYTES = 64 * 1024
_READING = ("GET", "HEAD", "OPTIONS")
#: Metadata follows the settings, which may change.
_SHORTLY_KEPT = {"Cache-Control": "public, max-age=60", "Vary": "Host"}
_TRAFFIC = re.compile(r"/instances/([0-9]{1,18})/traffic")


class Worker:
    """Answers clients. A ``Site``.

    Args:
        recorder: Takes what is kept of every call.
        limiter: Counts how much keys and servers are asked; ``None``: nobody is limited.
        retire: Called once when the worker has answered as many requests as it may.
    """

    def __init__(  # noqa: PLR0913 - one for each thing that the process has made before
        self,
        config: GatewayConfig,
        table: LiveTable,
        upstreams: Upstreams,
        counters: CounterRow,
        *,
        recorder: Recorder | None = None,
        limiter: Limiter | None = None,
        retire: Callable[[], None] = lambda: None,
    ) -> None:
        """Put together what every call uses."""
        self._table = table
        self._upstreams = upstreams
        self._counters = counters
        self._limiter = limiter
        self._retire = retire
        self._guard = Guard(config.own_hosts)
        self._internal_key = bytes.fromhex(config.internal_key_hash)
        self._discovery = Discovery(
            Site(config.domain, config.public_url),
            self._internal_key,
            config.https_port,
        )
        self._calls_left = _calls_to_live(config)
        session_key = bytes.fromhex(config.session_key)
        self._desk = Desk(
            config=config,
            table=table,
            upstreams=upstreams,
            counters=counters,
            recorder=recorder or NoRecorder(counters.calls),
            signer=SessionSigner(session_key),
            binder=StateBinder(session_key),
            eras=Eras(upstreams.bridge),
            limiter=limiter,
            count_down=self._count_down if self._calls_left else None,
            is_debugging=logging.getLevelName(config.log_level.upper())
            <= logging.DEBUG,
            announcements=Announcements(config.database),
            authority=Authority(config.oauth, self._addresses(config)),
            own_names=self._guard.names,
        )
        self._learner = Learner(table)
        self._starting = Starting(table)
        self._proxies = TrustedProxies(networks_of(config.trusted_proxies))
        #: Heads of requests to a loopback address, and to any other, by proxies that are believed, and by others: what is
        #: decided about the same head differs.
        self._known = {
            (is_local, is_believed): KnownHeads()
            for is_local in (True, False)
            for is_believed in (True, False)
        }

    # -- the site

    def known(self, connection: Connection) -> KnownHeads:
        """Return where the heads of this connection's requests are remembered."""
        is_local = is_loopback(peer_address(connection, "sockname"))
        connection.is_tagged = self._believes(connection)
        return self._known[is_local, connection.is_tagged]

    def forget_heads(self) -> None:
        """Decide about every head anew: keys or routes have changed."""
        for known in self._known.values():
            known.forget()

    def forget_host(self, host: str) -> None:
        """Decide anew about the heads that name a host which leads elsewhere now."""
        part = host.removeprefix("*").encode()
        for known in self._known.values():
            known.forget_named(part)

    def plan(self, head: RequestHead, connection: Connection) -> Plan:
        """Decide what a request's head alone can decide."""
        found = self._decide(head, connection)
        if (
            isinstance(found, CallPlan)
            and not found.is_running
            and self._starting.may_run(found.route)
        ):
            again = partial(self._decide, head, connection)
            return self._starting.plan(again, found.body_limit)
        return found

    def _decide(self, head: RequestHead, connection: Connection) -> Plan:
        name = self._name_of(head.headers)
        if name is not None and name.redirect_to:
            location = [("Location", own_names.elsewhere(name.redirect_to, head))]
            return self._refusal(HTTPStatus.PERMANENT_REDIRECT, b"", location)
        place = place_of(head.path) if name is None else place_at(name, head.path)
        if place is None:
            return HandlerPlan(self._page, head, REFUSED_BODY_BYTES)
        self._forget_hearsay(head.headers, connection)
        if self._is_foreign(head, connection, place.host):
            return self._refusal(HTTPStatus.FORBIDDEN, failures.foreign(), [])
        admission = self._desk.admit(head, place)
        if not isinstance(admission, Admission):
            wanted = self._desk.wanted(head, admission)
            if wanted is not None and self._learner.may_find(wanted):
                again = partial(self.plan, head, connection)
                return self._learner.plan(wanted, again, REFUSED_BODY_BYTES)
            make = partial(self._desk.authority.challenge, head.headers, head.path)
            return self._refusal(*failures.denied(admission, make))
        if head.method not in METHODS[place.door]:
            allow = [("Allow", ", ".join(METHODS[place.door]))]
            return self._refusal(HTTPStatus.METHOD_NOT_ALLOWED, b"", allow)
        return CallPlan(self._desk, head, place, admission)

    def end_streams(self) -> None:
        """End the open streams in order; their clients open them again, elsewhere."""
        for call in list(self._desk.streams):
            call.end_stream()

    def _refusal(
        self, status: int, body: bytes, headers: list[tuple[str, str]]
    ) -> "_RefusalPlan":
        shown = [("Content-Type", http.JSON), *headers]
        return _RefusalPlan(
            self._desk, status, heads.head(status, shown, len(body)), body
        )

    def _believes(self, connection: Connection) -> bool:
        """Whether a proxy of ours is at the other end."""
        if not self._proxies:
            return False
        return self._proxies.trusts(peer_address(connection, "peername"))

    def _forget_hearsay(
        self, headers: CIMultiDict[str], connection: Connection
    ) -> None:
        """Drop what nobody but a proxy of ours may say: for whom it asks, and under which name."""
        if not self._believes(connection):
            for name in _HEARSAY:
                headers.popall(name, None)

    def _name_of(self, headers: CIMultiDict[str]) -> Name | None:
        """Return the name that a request was sent to, if it leads to one server alone."""
        return self._desk.name_at(host_of(headers.get("Host", "")))

    def _is_foreign(
        self, head: RequestHead, connection: Connection, domain: str
    ) -> bool:
        if self._guard.refuses_origin(head.headers.get("Origin"), domain):
            return True
        # Whoever makes a domain point to a visitor's own machine reaches the domain's server there, and nothing else.
        return not domain and self._guard.refuses_host(
            head.headers.get("Host"),
            local_address=peer_address(connection, "sockname") or None,
            is_proxied="X-Forwarded-For" in head.headers,
        )

    # -- everything that is no call

    async def _page(self, request: http.Request) -> http.Answer:
        name = self._name_of(request.headers)
        if name is not None:
            return self._page_at(name, request)
        if self._discovery.answers(request.path):
            return self._discover(request)
        if authority.concerns(request.path):
            return self._authorize(request)
        if request.path == "/healthz":
            return http.text_answer("ok\n")
        if request.path == "/readyz":
            return await self._ready()
        if (match := _TRAFFIC.fullmatch(request.path)) is not None:
            return await self._traffic(request, int(match[1]))
        if request.path == "/metrics" and _is_local(request):
            return http.text_answer(self._counters.counters.render())
        return http.text_answer(
            "There is nothing here. Endpoints are /servers/<name>/mcp.\n", status=404
        )

    def _page_at(self, name: Name, request: http.Request) -> http.Answer:
        """Answer on a name that leads to one server alone: there is nothing of any other."""
        path = request.path
        if path == f"/mcp{CARD_SUFFIX}":
            return self._discover(request, f"/servers/{name.server}{path}", name.server)
        if self._discovery.answers(path) and not path.startswith("/servers/"):
            return self._discover(request, path, name.server)
        if authority.concerns(path, is_domain=True):
            return self._authorize(request)
        return own_names.page(name, request)

    def _addresses(self, config: GatewayConfig) -> Addresses:
        return Addresses(
            config.oauth.gateway_public_url,
            config.oauth.public_url,
            own_hosts=config.own_hosts,
            port=config.port,
            is_domain=lambda host: self._desk.name_at(host) is not None,
        )

    def _authorize(self, request: http.Request) -> http.Answer:
        """Tell where tokens come from; to pages of any origin, and whoever asks."""
        if request.method == "OPTIONS":
            return http.empty(HTTPStatus.NO_CONTENT, CORS)
        if request.method not in _READING:
            allow = {"Allow": ", ".join(_READING)}
            return http.empty(HTTPStatus.METHOD_NOT_ALLOWED, CORS | allow)
        self._forget_hearsay(request.headers, request.connection)
        found = self._desk.authority.document(
            request.path, request.headers, self._table.current
        )
        if found is None:
            body = wire.encode({"error": "There is no such document here."})
            return http.document(body, http.JSON, status=404, headers=CORS)
        return http.document(
            wire.encode(found), http.JSON, headers=CORS | _SHORTLY_KEPT
        )

    def _discover(
        self, request: http.Request, path: str = "", only: str = ""
    ) -> http.Answer:
        table = self._table.current
        if table is None:
            status, body, headers = failures.denied(None)
            return http.json_answer(body, status=status, headers=dict(headers))
        key = presented_key(request.headers)
        found = self._discovery.document(
            request.method,
            path or request.path,
            table=table.with_one(only) if only else table,
            # A token is for an endpoint; here, who shows one sees what everybody sees.
            key=None if key is not None and is_token(key) else key,
            known_tag=request.headers.get("If-None-Match"),
            now=time.time(),
        )
        return http.document(
            found.body, found.content_type, status=found.status, headers=found.headers
        )

    async def _traffic(self, request: http.Request, instance_id: int) -> http.Answer:
        """Tell the hub, and nobody else, what still goes on at an instance that is left."""
        key = presented_key(request.headers)
        if key is None or not hmac.compare_digest(key_hash(key), self._internal_key):
            return http.text_answer("", status=404)
        directory = departures_directory(self._desk.config.bridge_socket)
        told = await asyncio.to_thread(departures.found, directory, instance_id)
        at_bridge = await self._bridge_traffic(instance_id)
        if at_bridge is None:
            return http.text_answer("The bridge does not answer.\n", status=503)
        state = {
            "is_left": told.is_left and at_bridge.is_left,
            "calls": told.calls + at_bridge.calls,
            "streams": told.streams,
        }
        return http.json_answer(wire.encode(state))

    async def _bridge_traffic(self, instance_id: int) -> departures.Found | None:
        try:
            async with (
                asyncio.timeout(2),
                await self._upstreams.bridge.request(
                    "GET", f"/instances/{instance_id}/traffic", (), b""
                ) as answer,
            ):
                return msgspec.json.decode(await answer.read(), type=departures.Found)
        except (OSError, msgspec.DecodeError):  # TimeoutError is one
            return None

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
                if self._limiter is not None:
                    self._limiter.detach()
                self._retire()


class _RefusalPlan:
    """The same answer to every request with one head."""

    is_kept = False
    body_limit = REFUSED_BODY_BYTES

    def __init__(self, desk: Desk, status: int, head: bytes, body: bytes) -> None:
        self._desk = desk
        self._status = status
        self._answer = head, body

    def begin(self, connection: Connection, _body: bytes | None) -> None:
        started = time.monotonic()
        connection.answer(*self._answer)
        self._desk.refused(self._status, started)


_HEARSAY = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")


def _calls_to_live(config: GatewayConfig) -> int:
    """Return how many calls this worker serves; 0: no limit."""
    if not config.max_requests:
        return 0
    return config.max_requests + random.randint(0, config.max_requests_jitter)  # noqa: S311 - spreads restarts


def _is_local(request: http.Request) -> bool:
    """Whether somebody on this box asks, and not through a proxy."""
    return is_loopback(request.remote) and "X-Forwarded-For" not in request.headers
