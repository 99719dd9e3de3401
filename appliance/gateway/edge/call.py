"""One request on its way to a server and the answer on its way back, by callbacks: no task, no future, no timer of its own."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from appliance.core.errors import DomainError
from appliance.gateway.edge import admittance, afterwords, failures
from appliance.gateway.edge.answering import Answering
from appliance.gateway.errors import CallTimeoutError
from appliance.gateway.http import heads
from appliance.gateway.http.client import NotConnectedError, Origin, UnansweredError
from appliance.gateway.http.upstream import RemotePass
from appliance.gateway.routes import Route

#: The bridge is started again within a blink; calls wait for it instead of failing.
BRIDGE_ATTEMPTS = 100
BRIDGE_RETRY_S = 0.05


class Call(Answering):
    """One request. An ``Exchange`` to the client's connection, a ``Receiver`` to the server's."""

    attempts = BRIDGE_ATTEMPTS
    #: What is sent to the server: the body, or what it was rewritten to.
    sent = b""
    #: Whether the body may bring back what a server handed out.
    is_bound = False

    def begin(self) -> None:
        """Look at the request and send it on."""
        self.client.exchange = self
        try:
            admittance.admit(self)
        except DomainError as error:
            self.fail(error)
        except failures.REFUSALS as refusal:
            self.refuse(refusal)
        else:
            if self.deadline is None:
                self.plan.desk.streams.add(self)
            self.send_on()

    def send_on(self) -> None:
        """Send it straight to a server that speaks the client's era, or else to the bridge."""
        plan = self.plan
        if plan.is_forwardable:
            eras = plan.desk.eras.known(plan.route, self.began)
            if eras is None:
                self._wait_for(self._ask_eras())
                return
            self.is_direct = self.era in eras
            if self.is_direct and self.is_bound and not self._owns_states():
                return
        if plan.left is not None and self.is_direct:
            self._tell_left(plan.left)
        if self.is_direct and plan.head.method == "DELETE":
            self._wait_for(self._end_session())
        else:
            self._send_there()

    def _tell_left(self, left: Route) -> None:
        """Pass what is no request on to the instance that is left, too: it may be meant for a call that goes on there."""
        plan, session = self.plan, self.plan.session.upstream_id
        if session and plan.is_post and not afterwords.is_request(self.message):
            desk = plan.desk
            afterwords.pass_on(
                desk.upstreams,
                desk.eras,
                left,
                headers=plan.onward,
                session=session,
                body=self.sent,
            )

    def _send_there(self) -> None:
        plan = self.plan
        if not self.is_direct:
            self._send_to(*plan.bridge)
        elif plan.direct is not None:
            self._send_to(*plan.direct)
        else:
            self.upstream = remote = RemotePass(plan.desk.upstreams, self)
            request = (plan.head.method, plan.onward, self.sent)
            self._wait_for(remote.carry(plan.route, *request))

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

    def check(self, now: float) -> None:
        """Look whether there is still time, and whether the key still opens the server."""
        plan = self.plan
        if self.deadline is not None and now > self.deadline:
            text = (
                f"{plan.route.name} did not answer within {plan.timeout_s:g} seconds."
            )
            hint = "GW_TIMEOUT sets how long a call may take."
            self.fail(CallTimeoutError(text, hint=hint))
        elif self.deadline is None and not plan.is_still_open():
            self.end_stream()

    def _owns_states(self) -> bool:
        """Look into request states and task ids, which only a server that is called straight has made itself."""
        try:
            admittance.read_states(self)
        except failures.REFUSALS as refusal:
            self.refuse(refusal)
            return False
        self.is_bound = False
        return True

    def _send_to(self, origin: Origin, head: bytes) -> None:
        """Send it on a kept connection, or on a new one when it is made."""
        body = self.sent
        has_body = body or self.plan.is_post
        length = heads.length_line(len(body)) if has_body else b""
        request = head + length + b"\r\n" + body
        connection = origin.take()
        if connection is None:
            self._wait_for(self._send_anew(origin, request))
            return
        self.upstream = connection
        connection.send(request, self)

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        self.task = asyncio.get_running_loop().create_task(work)

    async def _send_anew(self, origin: Origin, request: bytes) -> None:
        try:
            connection = await origin.connect()
        except NotConnectedError as error:
            self.failed(error)
            return
        self.upstream = connection
        connection.send(request, self)

    async def _ask_eras(self) -> None:
        await self.plan.desk.eras.ask(self.plan.route)
        self.send_on()

    async def _end_session(self) -> None:
        plan, eras = self.plan, self.plan.desk.eras
        session = eras.session(plan.route, plan.session.upstream_id)
        await eras.end(plan.route, plan.principal, session)
        self._send_there()

    async def _retry(self) -> None:
        await asyncio.sleep(BRIDGE_RETRY_S)
        self._send_to(*self.plan.bridge)

    async def _revive(self, client: str) -> None:
        plan, eras = self.plan, self.plan.desk.eras
        original = plan.session.upstream_id
        session = eras.session(plan.route, original)
        new = await eras.revive(plan.route, plan.principal, session, client)
        if new is None:
            self.fail(failures.session_gone())
            return
        eras.revived(plan.route, original, new)
        plan.forget_session()
        self.send_on()
