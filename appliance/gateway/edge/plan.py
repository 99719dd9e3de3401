"""What a request's head alone decides, so that it is decided once for all requests with the same head."""

import secrets
import time
from functools import cached_property, partial
from urllib.parse import parse_qs

from multidict import CIMultiDict

from appliance.core.oauth import SCOPES
from appliance.gateway.edge import failures, headers
from appliance.gateway.edge.admittance import LISTEN
from appliance.gateway.edge.afterwords import left_by
from appliance.gateway.edge.agreement import RoutingHeaders, routing_headers
from appliance.gateway.edge.call import Call
from appliance.gateway.edge.desk import Desk
from appliance.gateway.edge.keys import Admission, BadToken, Denial
from appliance.gateway.edge.limits import Limit, limits_of
from appliance.gateway.edge.places import Place
from appliance.gateway.edge.scopes import ScopeError
from appliance.gateway.edge.sessions import Session, unpack
from appliance.gateway.edge.states import Owner
from appliance.gateway.http import heads
from appliance.gateway.http import messages as http
from appliance.gateway.http.client import Origin
from appliance.gateway.http.listener import Connection
from appliance.gateway.http.requests import RequestHead
from appliance.gateway.routes import Route
from appliance.gateway.screen import Screen

_SESSION_QUERY = "session_id"


class CallPlan:
    """Where requests with one head go, on whose behalf, and what is added on the way.

    Args:
        desk: What every call uses.
        head: Of the requests.
        place: That they name.
        admission: Of their key.
    """

    def __init__(
        self, desk: Desk, head: RequestHead, place: Place, admission: Admission
    ) -> None:
        """Decide."""
        route = admission.route
        #: A stream of HTTP+SSE has a session of its own.
        self.is_kept = place.door != "sse"
        self.desk = desk
        self.head = head
        self.place = place
        self.route: Route = route
        self.admission = admission
        self.principal = admission.principal
        self.table = desk.table.current
        self.expires_at = admission.expires_at
        self.owner = Owner(_place_id(route), admission.principal)
        self.limits: tuple[Limit, ...] = limits_of(admission, desk.config.key_limits)
        own = route.limits
        self.body_limit = int(own.get("body_bytes") or desk.config.max_body_bytes)
        self.timeout_s = float(own.get("timeout_s") or desk.config.timeout_s)
        self.said: RoutingHeaders = routing_headers(head.headers)
        self.traceparent = head.headers.get("traceparent", "")
        self.session, self.is_foreign_session = self._read_session()
        # A session that the bridge opened, before it was known how the server speaks, stays with it.
        self.is_forwardable = (
            place.door == "mcp"
            and route.transport == "streamable-http"
            # The bridge alone has the tokens of those whom the server knows.
            and not route.signin
            and not self.session.upstream_id.startswith(http.BRIDGE_SESSION)
        )
        self.is_stream = head.method == "GET"
        self.is_post = head.method == "POST"
        self.is_legacy = self.said.is_legacy
        self.is_listening = self.said.method == LISTEN
        self.kept_bytes = desk.config.trace_body_bytes if route.trace_bodies else 0
        #: Lines for the client that do not come from the server.
        self.extra = b""
        #: The hub asks every server every few seconds how it is; nobody wants to read that among their calls.
        self.is_traced = True
        if admission.principal == "hub":
            self.is_traced = http.UNTRACED_HEADER not in head.headers
            self.extra = f"{http.INSTANCE_HEADER}: {route.instance_id}\r\n".encode()

    def begin(self, connection: Connection, body: bytes | None) -> None:
        """Carry a request, unless the key has expired since the head was decided about."""
        if self.expires_at is not None and self.expires_at <= time.time():
            status, text, lines = self._expired()
            shown = [("Content-Type", http.JSON), *lines]
            connection.answer(heads.head(status, shown, len(text)), text)
            self.desk.refused(status, time.monotonic())
            return
        Call(self, connection, body).begin()

    @cached_property
    def left(self) -> Route | None:
        """The instance that this one took over from, while calls go on there."""
        return left_by(self.route, self.desk.table.current)

    @cached_property
    def direct(self) -> tuple[Origin, bytes] | None:
        """The server on this box, and the head for it; ``None``: it is remote."""
        local = self.desk.upstreams.local(self.route)
        if local is None:
            return None
        origin, target = local
        return origin, origin.request_head(
            self.head.method, target, self.onward.items()
        )

    @cached_property
    def bridge(self) -> tuple[Origin, bytes]:
        """The bridge, and the head for it."""
        origin, lines = self.desk.upstreams.bridge, self.onward.copy()
        lines[http.PRINCIPAL_HEADER] = self.principal
        lines[http.INSTANCE_HEADER] = str(self.route.instance_id)
        if self.session.packed:
            lines[http.CLIENT_HEADER] = unpack(self.session.packed)
        if self.place.door == "sse":
            lines[http.SESSION_HEADER] = session_id = secrets.token_hex(16)
            signed = self.wrap(session_id, "")
            lines[http.ENDPOINT_HEADER] = (
                f"{self.place.shown_base}/messages?{_SESSION_QUERY}={signed}"
            )
        return origin, origin.request_head(
            self.head.method, self.place.path, lines.items()
        )

    @cached_property
    def onward(self) -> CIMultiDict[str]:
        """The headers for the server."""
        onward = CIMultiDict(headers.to_server(self.head.headers.items()))
        if self.session.upstream_id:
            now = self.desk.eras.session(self.route, self.session.upstream_id)
            if now:  # a server may have stopped to keep sessions
                onward[http.SESSION_HEADER] = now
            if now != self.session.upstream_id:
                # Events of the session before it mean nothing to this one.
                onward.pop("Last-Event-ID", None)
        return onward

    @cached_property
    def is_running(self) -> bool:
        """Whether there is something to send to."""
        route = self.route
        is_placed = bool(route.container_id or route.address or route.bundle_id)
        return route.instance_id is not None and is_placed

    @cached_property
    def is_simple(self) -> bool:
        """Whether there is nothing to look at but the message."""
        is_free = self.screen is None and not (self.limits or self.admission.lacking)
        return self.is_running and is_free and not self.is_foreign_session

    @cached_property
    def screen(self) -> Screen | None:
        """Which tools may be called; ``None``: all."""
        return self.route.screen

    @cached_property
    def listing(self) -> Screen | None:
        """Which tools are listed; ``None``: all."""
        return self.shown(self.screen)

    def shown(self, screen: Screen | None) -> Screen | None:
        """Return which tools this principal sees listed, of a server with ``screen``."""
        is_hub = self.principal == "hub" and not self.route.bundle_id
        return screen.for_hub() if screen is not None and is_hub else screen

    def listing_now(self) -> Screen | None:
        """Return which tools are listed by the routing table of now: streams outlive changes."""
        table, route = self.desk.table.current, self.route
        if table is None or route.bundle_id:
            return self.listing
        found = table.routes.get(route.name)
        return self.shown(found.screen) if found is not None else self.listing

    def is_still_open(self) -> bool:
        """Whether what was shown still opens the endpoint, by the clock and the routing table of now."""
        if self.expires_at is not None and self.expires_at <= time.time():
            return False
        if not self.desk.still_leads(self.place):
            return False
        if self.desk.table.current is self.table:
            return True
        admission = self.desk.admit(self.head, self.place)
        if not isinstance(admission, Admission):
            return False
        self.table = self.desk.table.current
        return admission.principal == self.principal

    def lines_for(self, refusal: Exception) -> bytes:
        """Return header lines for who was refused: to a client with a token, what it has to ask for."""
        if not isinstance(refusal, ScopeError) or not self.admission.token_of:
            return b""
        # With what it has already: a client that asks for less would lose that.
        wanted = refusal.needed | (set(SCOPES) - self.admission.lacking)
        shown = self.desk.authority.challenge(
            self.head.headers,
            self.head.path,
            error="insufficient_scope",
            description=str(refusal),
            scopes=tuple(scope for scope in SCOPES if scope in wanted),
        )
        return f"WWW-Authenticate: {shown}\r\n".encode()

    def _expired(self) -> tuple[int, bytes, list[tuple[str, str]]]:
        is_key = not self.admission.token_of
        denial = Denial.UNKNOWN_KEY if is_key else BadToken("it has expired")
        make = partial(self.desk.authority.challenge, self.head.headers, self.head.path)
        return failures.denied(denial, make)

    def forget_session(self) -> None:
        """The server knows the session under another id now."""
        for name in ("onward", "direct", "bridge"):
            self.__dict__.pop(name, None)

    def wrap(self, upstream_id: str, packed: str) -> str:
        """Return a session id for the client."""
        signer, owner = self.desk.signer, self.owner
        return signer.wrap(upstream_id, owner.place, owner.principal, packed)

    def _read_session(self) -> tuple[Session, bool]:
        """Return the session that is named, and whether it is not this principal's."""
        if self.place.door == "messages":
            found = parse_qs(self.head.query_string).get(_SESSION_QUERY, [""])
            given: str | None = found[0]
        else:
            given = self.head.headers.get(http.SESSION_HEADER)
        if given is None or self.place.door == "sse":
            return Session("", ""), False
        owner = self.owner
        session = self.desk.signer.unwrap(given, owner.place, owner.principal)
        return session or Session("", ""), session is None


def _place_id(route: Route) -> str:
    return f"b{route.bundle_id}" if route.bundle_id else str(route.server_id)
