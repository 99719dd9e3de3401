"""What every call of a worker uses; made once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from appliance.core.ids import key_hash
from appliance.gateway.announcements import Announcements
from appliance.gateway.config import GatewayConfig
from appliance.gateway.counters import CounterRow, Refused
from appliance.gateway.edge import headers
from appliance.gateway.edge.authority import Authority
from appliance.gateway.edge.eras import Eras
from appliance.gateway.edge.keys import (
    Admission,
    BadToken,
    Denial,
    admit,
    at_instance,
    bearer,
    is_ours,
    presented_key,
)
from appliance.gateway.edge.learning import Wanted, shown_key, signing_key
from appliance.gateway.edge.limits import HUB, Limiter
from appliance.gateway.edge.places import Place
from appliance.gateway.edge.sessions import SessionSigner
from appliance.gateway.edge.states import StateBinder
from appliance.gateway.edge.tokens import is_token
from appliance.gateway.http import heads
from appliance.gateway.http.messages import INSTANCE_HEADER
from appliance.gateway.http.requests import RequestHead
from appliance.gateway.http.responses import Head
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.names import Name, name_at
from appliance.gateway.routes import LiveTable, Route
from appliance.gateway.traces.record import Invocation, Recorder

if TYPE_CHECKING:
    from appliance.gateway.edge.telling import Telling

log = structlog.get_logger("gateway.call")

_SHOWN_KEPT = 512
#: Definitions of one server.
_TOLD_KEPT = 5_000
#: Answers that have no body, whatever their head says.
BODYLESS = frozenset({204, 304})


class Shown:
    """What clients get to see of a server's head, but for the session."""

    __slots__ = ("has_session", "length", "lines", "whole_lines")

    def __init__(self, head: Head) -> None:
        """Leave out what is not for them."""
        self.lines = heads.head(head.status, headers.to_client(head.headers))
        self.has_session = head.get("mcp-session-id") is not None
        #: -1: not known.
        self.length = -1 if head.content_length is None else head.content_length
        self.whole_lines = self.lines
        if self.length >= 0 and head.status not in BODYLESS:
            self.whole_lines += b"Content-Length: %d\r\n" % self.length


@dataclass(eq=False, slots=True)
class Desk:
    """What every call uses."""

    config: GatewayConfig
    table: LiveTable
    upstreams: Upstreams
    counters: CounterRow
    recorder: Recorder
    signer: SessionSigner
    binder: StateBinder
    eras: Eras
    #: ``None``: nobody is limited.
    limiter: Limiter | None
    #: Called after every call; ``None``: nobody counts.
    count_down: Callable[[], None] | None
    is_debugging: bool
    announcements: Announcements
    authority: Authority
    #: Under which the box itself is reached.
    own_names: frozenset[str]
    #: Open streams, which end when the worker does.
    streams: "set[Telling]" = field(default_factory=set)
    _shown: dict[Head, Shown] = field(default_factory=dict)
    #: By server: fingerprints of definitions that the hub was told of.
    _told: dict[int, set[str]] = field(default_factory=dict)

    def admit(
        self, head: RequestHead, place: Place
    ) -> Admission | Denial | BadToken | None:
        """Return who asks and for what; ``None``: there is no routing table yet."""
        table = self.table.current
        if table is None:
            return None
        shown = bearer(head.headers)
        if shown is not None and is_token(shown):
            return self.authority.admit(
                shown, place, headers=head.headers, table=table, at=time.time()
            )
        admission = admit(
            table,
            bytes.fromhex(self.config.internal_key_hash),
            presented_key(head.headers),
            place.name,
            at=time.time(),
            is_bundle=place.is_bundle,
        )
        wanted = head.headers.get(INSTANCE_HEADER)
        if (
            wanted is None
            or not isinstance(admission, Admission)
            or admission.principal != HUB
            or place.is_bundle
        ):
            return admission
        return at_instance(admission, table, wanted)

    def wanted(
        self, head: RequestHead, denial: Denial | BadToken | None
    ) -> Wanted | None:
        """Return the key for want of which somebody is not let in, if it may come."""
        if isinstance(denial, BadToken):
            return signing_key(denial.kid) if denial.kid else None
        shown = presented_key(head.headers) or ""
        if denial is not Denial.UNKNOWN_KEY or not is_ours(shown):
            return None
        hashed, table = key_hash(shown), self.table.current
        # One that has expired is known.
        return None if table is None or table.knows(hashed) else shown_key(hashed)

    def name_at(self, host: str) -> Name | None:
        """Return what a host is the name of, if it leads to one server alone and is none of the box's own."""
        table = self.table.current
        if table is None or host in self.own_names:
            return None
        return name_at(table.domains, host, self.config.base_domain)

    def still_leads(self, place: Place) -> bool:
        """Whether the name under which a place was reached, if it was by one, leads there now."""
        if not place.host:
            return True
        name = self.name_at(place.host)
        return name is not None and name.server == place.name and not name.redirect_to

    def shown(self, head: Head) -> Shown:
        """Return what clients get to see of a server's head; heads that come again are known again."""
        found = self._shown.get(head)
        if found is None:
            if len(self._shown) >= _SHOWN_KEPT:
                self._shown.clear()
            found = self._shown[head] = Shown(head)
        return found

    def over(self, invocation: Invocation) -> None:
        """A call is over, however it ended."""
        self.recorder.add(invocation)
        if self.is_debugging:
            log.debug(
                "call",
                server_id=invocation.server_id,
                method=invocation.method,
                status=invocation.http_status,
                outcome=invocation.error_class or "ok",
                milliseconds=round(invocation.duration_s * 1000, 3),
            )
        self.left()

    def left(self) -> None:
        """Count a call among those after which a worker makes room for its successor."""
        if self.count_down is not None:
            self.count_down()

    def held_back(self, route: Route, unknown: set[str]) -> None:
        """Have the hub read a server's definitions, some of which were held back and are new; it is told of each once."""
        told = self._told.setdefault(route.server_id, set())
        if unknown <= told:
            return
        if len(told) > _TOLD_KEPT:
            told.clear()
        told |= unknown
        log.info("tools_held_back", server=route.name, definitions=len(unknown))
        self.announcements.changed(route.name)

    def refused(self, status: int, started: float) -> None:
        """A call was refused at the door: counted, but nobody's."""
        self.counters.calls([Refused(status, time.monotonic() - started)])
        if self.is_debugging:
            log.debug("call", status=status, outcome="refused")
        if self.count_down is not None:
            self.count_down()
