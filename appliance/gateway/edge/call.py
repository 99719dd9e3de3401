"""One request on its way to a server and the answer on its way back, by callbacks: no task, no future, no timer of its own."""

import asyncio
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from appliance.core.errors import DomainError
from appliance.gateway.edge import admittance, allowlist, failures
from appliance.gateway.edge.answering import Answering
from appliance.gateway.edge.reading import Message
from appliance.gateway.errors import CallTimeoutError
from appliance.gateway.http import messages as http
from appliance.gateway.http.client import NotConnectedError, Origin, UnansweredError
from appliance.gateway.http.listener import Connection
from appliance.gateway.http.responses import Head
from appliance.gateway.http.upstream import RemotePass
from appliance.gateway.protocol import wire

if TYPE_CHECKING:
    from appliance.gateway.edge.agreement import Era
    from appliance.gateway.edge.limits import Token
    from appliance.gateway.edge.plan import CallPlan

log = structlog.get_logger("gateway.call")

#: The bridge is started again within a blink; calls wait for it instead of failing.
BRIDGE_ATTEMPTS = 100
BRIDGE_RETRY_S = 0.05
#: Nginx's word for a client that left before its answer.
CLIENT_GONE = 499


class Upstream(Protocol):
    """The connection that an answer arrives on."""

    def abort(self) -> None:
        """Hang up; nothing more is told."""
        ...

    def pause(self) -> None:
        """Have the server wait."""
        ...

    def resume(self) -> None:
        """Let it go on."""
        ...


class Call:
    """One request. An ``Exchange`` to the client's connection, a ``Receiver`` to the server's.

    Args:
        plan: What the head decided.
        client: Who asks.
        body: ``None``: it is larger than it may be.
    """

    __slots__ = (
        "answering",
        "attempts",
        "began",
        "body",
        "client",
        "deadline",
        "era",
        "is_direct",
        "is_over",
        "is_revived",
        "message",
        "plan",
        "sent",
        "started_at",
        "task",
        "token",
        "upstream",
    )

    def __init__(
        self, plan: "CallPlan", client: Connection, body: bytes | None
    ) -> None:
        """Note when it came."""
        self.plan = plan
        self.client = client
        self.body = body
        #: What is sent to the server.
        self.sent = body or b""
        self.started_at = time.time()
        self.began = time.monotonic()
        self.deadline: float | None = self.began + plan.timeout_s
        self.message = Message()
        self.era: Era = "legacy"
        self.is_direct = False
        self.is_over = False
        self.is_revived = False
        self.attempts = BRIDGE_ATTEMPTS
        self.task: asyncio.Task[None] | None = None
        self.token: Token | None = None
        self.upstream: Upstream | None = None
        self.answering = Answering(self)

    # -- on the way there

    def begin(self) -> None:
        """Look at the request and send it on."""
        self.client.exchange = self
        try:
            admittance.admit(self)
        except DomainError as error:
            self.fail(error)
        except failures.REFUSALS as refusal:
            self.refuse(*failures.refused(refusal, self.message.id))
        else:
            if self.deadline is None:
                self.plan.desk.streams.add(self)
            self.send_on()

    def send_on(self) -> None:
        """Send it straight to a server that speaks the client's era, or else to the bridge."""
        plan = self.plan
        if plan.is_forwardable:
            eras = plan.desk.eras.known(plan.route)
            if eras is None:
                self._wait_for(self._ask_eras())
                return
            self.is_direct = self.era in eras
            if self.is_direct and not self._owns_states():
                return
        if not self.is_direct:
            self.send_to(*plan.bridge)
        elif plan.direct is not None:
            self.send_to(*plan.direct)
        else:
            self.upstream = remote = RemotePass(plan.desk.upstreams, self)
            request = (plan.head.method, plan.onward, self.sent)
            self._wait_for(remote.carry(plan.route, *request))

    def send_to(self, origin: Origin, head: bytes) -> None:
        """Send it on a kept connection, or on a new one when it is made."""
        connection = origin.take()
        if connection is None:
            self._wait_for(self._send_anew(origin, head))
            return
        self.upstream = connection
        connection.send(self._request(head), self)

    def _owns_states(self) -> bool:
        """Look into request states and task ids, which only a server that is called straight has made itself."""
        try:
            admittance.read_states(self)
        except failures.REFUSALS as refusal:
            self.refuse(*failures.refused(refusal, self.message.id))
            return False
        return True

    def _request(self, head: bytes) -> bytes:
        body = self.sent
        if body or self.plan.head.method == "POST":
            return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        return head + b"\r\n"

    async def _send_anew(self, origin: Origin, head: bytes) -> None:
        try:
            connection = await origin.connect()
        except NotConnectedError as error:
            self.failed(error)
            return
        self.upstream = connection
        connection.send(self._request(head), self)

    async def _ask_eras(self) -> None:
        await self.plan.desk.eras.ask(self.plan.route)
        self.send_on()

    async def _retry(self) -> None:
        await asyncio.sleep(BRIDGE_RETRY_S)
        self.send_to(*self.plan.bridge)

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        self.task = asyncio.get_running_loop().create_task(work)

    # -- on the way back

    def whole(self, head: Head, body: bytes) -> None:
        """Take the whole answer."""
        self.upstream = None
        self.answering.whole(head, body)

    def started(self, head: Head) -> None:
        """Take the head."""
        self.answering.begin(head)

    def piece(self, data: bytes) -> None:
        """Take a piece of the body."""
        if not self.is_over:
            self.answering.piece(data)

    def finished(self) -> None:
        """Take note of the end."""
        self.upstream = None
        if not self.is_over:
            self.answering.finish()

    def failed(self, error: OSError) -> None:
        """Try a bridge that passed nothing on again, and tell the client of everything else.

        The bridge acknowledges a request before it passes it on, so one that died without a word has passed nothing on, and
        its successor may be asked again.
        """
        self.upstream = None
        is_unanswered = isinstance(error, (NotConnectedError, UnansweredError))
        if is_unanswered and not self.is_direct and self.attempts:
            self.attempts -= 1
            self._wait_for(self._retry())
            return
        self.fail(failures.broken(self.plan.route, error, is_direct=self.is_direct))

    def revive(self, client: str) -> None:
        """Have the session that the server forgot opened anew, and send the request again, once."""
        self.is_revived = True
        self._wait_for(self._revive(client))

    async def _revive(self, client: str) -> None:
        plan = self.plan
        old = plan.desk.eras.session(plan.route, plan.session.upstream_id)
        new = await plan.desk.eras.revive(plan.route, old, client)
        plan.forget_session()
        if new is None:
            self.fail(failures.session_gone())
        else:
            plan.desk.eras.revived(plan.route, plan.session.upstream_id, new)
            self.send_on()

    # -- the end

    def fail(self, error: DomainError) -> None:
        """Tell the client what went wrong: as an answer, or as the last event of a stream that is open already."""
        log.info(
            "call_failed",
            server=self.plan.route.name,
            code=error.code,
            reason=error.reason,
        )
        self.hang_up()
        body = http.failure_body(
            self.message.id, error, failures.state(self.plan.route, error)
        )
        self.answering.end_with(
            http.failure_status(error), body, error.code, failures.lines(error)
        )

    def refuse(self, status: int, body: bytes, error_class: str) -> None:
        """Answer what breaks a rule."""
        self.answering.end_with(status, body, error_class, b"")

    def end_stream(self) -> None:
        """End in order: what was sent stays valid, and the client opens the stream again, elsewhere."""
        self.hang_up()
        self.answering.end_in_order()

    def hang_up(self) -> None:
        """Have nothing more come from the server."""
        upstream, self.upstream = self.upstream, None
        task, self.task = self.task, None
        if upstream is not None:
            upstream.abort()
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def over(self) -> None:
        """Let go of everything, once."""
        if self.is_over:
            return
        self.is_over = True
        self.plan.desk.streams.discard(self)
        if self.token is not None and self.plan.desk.limiter is not None:
            self.plan.desk.limiter.leave(self.token)

    # -- events of the client

    def client_lost(self) -> None:
        """Nobody reads the answer: have the server stop, too."""
        if not self.is_over:
            self.hang_up()
            self.answering.record(CLIENT_GONE, "client_gone", b"")

    def pause(self) -> None:
        """The client reads more slowly than the server writes."""
        if self.upstream is not None:
            self.upstream.pause()

    def resume(self) -> None:
        """It has caught up."""
        if self.upstream is not None:
            self.upstream.resume()

    def check(self, now: float) -> None:
        """Look whether there is still time, and whether the key still opens the server."""
        if self.deadline is not None and now > self.deadline:
            name, timeout_s = self.plan.route.name, self.plan.timeout_s
            self.fail(
                CallTimeoutError(
                    f"{name} did not answer within {timeout_s:g} seconds.",
                    hint="GW_TIMEOUT sets how long a call may take.",
                )
            )
        elif self.deadline is None and not self.plan.is_still_open():
            self.end_stream()

    @property
    def lists_tools(self) -> bool:
        """Whether the answer is a list from which some tools are to be taken out."""
        return (
            self.plan.route.allowed_tools is not None
            and self.message.method == allowlist.LIST
        )

    @property
    def has_id(self) -> bool:
        """Whether there is somebody to answer to."""
        return bytes(self.message.id) != wire.NULL
