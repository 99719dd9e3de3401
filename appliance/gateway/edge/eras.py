"""Which eras of the protocol a server speaks, and what became of its sessions. The bridge finds out; workers remember.

A bridge that cannot be asked keeps nobody from a server that workers reach by themselves: it is taken to speak what its client
speaks, as it most often does.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from appliance.gateway.edge.agreement import Era
from appliance.gateway.http.client import Origin
from appliance.gateway.http.messages import INSTANCE_HEADER, JSON, PRINCIPAL_HEADER
from appliance.gateway.routes import Route

log = structlog.get_logger("gateway.eras")

BOTH: Final[frozenset[Era]] = frozenset({"legacy", "modern"})
KNOWN_FOR_S = 600.0
#: How long what is only assumed is believed.
ASSUMED_FOR_S = 5.0
#: The first question may have to wait for a server that is just starting.
ASK_WITHIN_S = 10.0
REVIVED_KEPT = 10_000
KNOWN_SERVERS = 10_000
_OK = 200


class Eras:
    """What is known of servers, by instance.

    Args:
        bridge: Where to ask.
    """

    def __init__(self, bridge: Origin) -> None:
        """Know nothing yet."""
        self._bridge = bridge
        self._known: dict[int, tuple[frozenset[Era], float]] = {}
        self._questions: dict[int, asyncio.Task[frozenset[Era]]] = {}
        self._revived: dict[tuple[int, str], str] = {}

    def known(self, route: Route, now: float) -> frozenset[Era] | None:
        """Return what the server speaks, or ``None``: it has to be asked for.

        What is old is told nevertheless, and asked for anew meanwhile.
        """
        found = self._known.get(route.instance_id or 0)
        if found is None:
            return None
        if found[1] < now:
            _ = self._question(route)
        return found[0]

    def forget(self, route: Route) -> None:
        """The server has contradicted what is known."""
        self._known.pop(route.instance_id or 0, None)

    async def ask(self, route: Route) -> frozenset[Era]:
        """Find out; many who ask at once make one question."""
        return await asyncio.shield(self._question(route))

    def session(self, route: Route, upstream_id: str) -> str:
        """Return the id under which a server knows a session now."""
        return self._revived.get((route.instance_id or 0, upstream_id), upstream_id)

    async def revive(
        self, route: Route, principal: str, session: str, client: str
    ) -> str | None:
        """Have a session that the server forgot opened anew.

        Args:
            route: Where it was.
            principal: Whose it was.
            session: The id that the server no longer knows.
            client: What its client said of itself, as JSON.

        Returns:
            Its new id; empty: the server keeps no sessions any more; ``None``: it cannot be had.
        """
        question = {"session": session, "client": msgspec.Raw(client.encode())}
        try:
            answer = await self._call(
                "POST",
                route,
                "revive",
                msgspec.json.encode(question),
                principal=principal,
            )
        except OSError:
            return None
        new = None if answer is None else answer.get("session")
        return new if isinstance(new, str) and new != session else None

    async def end(self, route: Route, principal: str, session: str) -> None:
        """Have nothing take the place of a session that its client ends."""
        question = msgspec.json.encode({"session": session, "ended": True})
        with contextlib.suppress(OSError):
            await self._call("POST", route, "revive", question, principal=principal)

    def revived(self, route: Route, upstream_id: str, new: str) -> None:
        """Remember what a server knows a session as from now on."""
        if len(self._revived) >= REVIVED_KEPT:
            self._revived.pop(next(iter(self._revived)))
        self._revived[route.instance_id or 0, upstream_id] = new

    def _question(self, route: Route) -> asyncio.Task[frozenset[Era]]:
        instance = route.instance_id or 0
        task = self._questions.get(instance)
        if task is None:
            task = asyncio.create_task(self._ask(route))
            self._questions[instance] = task
            task.add_done_callback(lambda _: self._questions.pop(instance, None))
        return task

    async def _ask(self, route: Route) -> frozenset[Era]:
        eras, lives_s = BOTH, ASSUMED_FOR_S
        try:
            answer = await self._call("GET", route, "eras", b"", principal="hub")
        except OSError as error:  # TimeoutError is one
            log.info("bridge_not_asked", server=route.name, error=str(error))
        else:
            found: Any = None if answer is None else answer.get("eras")
            # A server that could not be asked is left to the bridge, which says why.
            eras = frozenset(found) & BOTH if isinstance(found, list) else frozenset()
            lives_s = KNOWN_FOR_S if isinstance(found, list) else ASSUMED_FOR_S
        if len(self._known) >= KNOWN_SERVERS:
            self._known.clear()
        self._known[route.instance_id or 0] = (eras, time.monotonic() + lives_s)
        return eras

    async def _call(
        self, method: str, route: Route, what: str, body: bytes, *, principal: str
    ) -> Mapping[str, Any] | None:
        """Return what the bridge says; ``None``: nothing that can be used.

        Raises:
            OSError: It does not answer.
        """
        headers = [
            (INSTANCE_HEADER, str(route.instance_id)),
            (PRINCIPAL_HEADER, principal),
            ("Content-Type", JSON),
        ]
        target = f"/servers/{route.name}/{what}"
        async with (
            asyncio.timeout(ASK_WITHIN_S),
            await self._bridge.request(method, target, headers, body) as answer,
        ):
            if answer.head.status != _OK:
                return None
            text = await answer.read()
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return None
        return found if isinstance(found, dict) else None
