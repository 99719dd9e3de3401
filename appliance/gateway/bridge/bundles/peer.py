"""A peer made of peers: the servers of a bundle as if they were one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import UNSET, Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.bundles import errors
from appliance.gateway.bridge.bundles.items import KINDS, Kind
from appliance.gateway.bridge.bundles.link import Link, Patience, ask
from appliance.gateway.bridge.bundles.memory import Memory
from appliance.gateway.bridge.bundles.merge import (
    empty_result,
    list_result,
    opened_result,
)
from appliance.gateway.bridge.bundles.quotas import Quotas
from appliance.gateway.bridge.bundles.requests import (
    fields_of,
    text_of,
    with_fields,
)
from appliance.gateway.bridge.bundles.resources import Resources
from appliance.gateway.bridge.bundles.streams import Streams
from appliance.gateway.bridge.bundles.switchboard import Switchboard
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import LiveTable, Route

_Begin = Callable[[Envelope, Caller], Awaitable[Call]]


class BundlePeer:
    """One bundle. A member that is dead, slow or talks nonsense costs nobody else anything.

    Args:
        route: The bundle's; later changes are read from ``table``.
        peers: Of the members.
        memory: What members listed last.
        quotas: How much each server may be asked, through all bundles.
        held_back: Told the name of a server of which a definition was held back that nobody has read yet.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        route: Route,
        table: LiveTable,
        peers: Peers,
        memory: Memory,
        *,
        quotas: Quotas,
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
        held_back: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Reach no member yet."""
        self._board = board = Switchboard(
            route, table, peers, memory, quotas, patience, held_back
        )
        self._opened: dict[str, Any] = {}
        self._resources = Resources(board)
        self._streams = Streams(board.links, self._changes, self._resources.shown)
        self._begin: dict[str, _Begin] = {
            "tools/call": self._call_tool,
            "prompts/get": self._get_prompt,
            "completion/complete": self._complete,
            "logging/setLevel": self._set_level,
            "ping": self._ping,
            "resources/read": self._resources.begin,
            "resources/subscribe": self._resources.begin,
            "resources/unsubscribe": self._resources.begin,
        }

    # -- what fronts use

    async def opened(self) -> Mapping[str, Any]:
        """Return what the bundle says of itself; members are waited for once, and not for long."""
        links = self._board.links()
        if any(link.is_new for link in links):
            await asyncio.gather(*(link.hello() for link in links))
        said = [link.said for link in links]
        words = self._board.route.card.get("instructions", "")
        pairs = zip([link.member for link in links], said, strict=True)
        self._opened = opened_result(self._board.route.name, words, pairs)
        return self._opened

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` to the member that it is for, or answer it from what all of them say."""
        method = "" if request.method is UNSET else request.method
        if (kind := KINDS.get(method)) is not None:
            return self._board.local(request, caller, self._list(kind, request, caller))
        begin = self._begin.get(method)
        if begin is None:
            return self._board.over(request, caller, errors.no_such_method(method))
        return await begin(request, caller)

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` where it is, unless it is over."""
        self._board.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on: a cancellation to the member that has the call, others to all that are there."""
        if notification.method == "notifications/cancelled":
            named = bytes(fields_of(notification.params).get("requestId", Raw(b"")))
            for peer in self._board.peers_with(caller, named):
                await peer.notify(notification, caller)
            return
        for link in self._board.links():
            if link.is_open:
                with (
                    contextlib.suppress(DomainError),
                    link.leased(caller.principal) as peer,
                ):
                    await peer.notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what members say, and of changes to the bundle itself."""
        return self._streams.open(caller)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._streams.close(stream)

    def end_session(self, caller: Caller) -> None:
        """End the session at every member."""
        self._streams.end_session(caller)
        self._resources.end_session(caller)
        for link in self._board.links():
            with (
                contextlib.suppress(DomainError),
                link.leased(caller.principal) as peer,
            ):
                peer.end_session(caller)

    async def close(self) -> None:
        """Let go of the members, which are others' too."""
        self._streams.close_all()
        self._board.close()

    def describe(self) -> Mapping[str, Any]:
        """Return what is known of the members."""
        return {
            "members": [
                {
                    "server": link.member.server,
                    "prefix": link.member.prefix,
                    "is_up": link.is_up,
                }
                for link in self._board.links()
            ],
            "calls_in_flight": self._board.in_flight,
        }

    # -- methods

    async def _call_tool(self, request: Envelope, caller: Caller) -> Call:
        fields = fields_of(request.params)
        name = text_of(fields.get("name"))
        found = self._board.names().find_tool(name)
        if found is None:
            return self._board.over(request, caller, errors.unknown("tool", name))
        if refusal := self._board.refusal(*found):
            answer = errors.refused(name, refusal)
            return self._board.over(request, caller, answer, found[0].server_id)
        return await self._board.forward(
            with_fields(request, fields, name=found[1]), caller, found[0]
        )

    async def _get_prompt(self, request: Envelope, caller: Caller) -> Call:
        fields = fields_of(request.params)
        name = text_of(fields.get("name"))
        found = self._board.names().find_prompt(name)
        if found is None:
            return self._board.over(request, caller, errors.unknown("prompt", name))
        return await self._board.forward(
            with_fields(request, fields, name=found[1]), caller, found[0]
        )

    async def _complete(self, request: Envelope, caller: Caller) -> Call:
        fields = fields_of(request.params)
        reference = fields_of(fields.get("ref", UNSET))
        if "uri" in reference:
            return await self._resources.complete(request, caller, reference)
        name = text_of(reference.get("name"))
        found = self._board.names().find_prompt(name)
        if found is None:
            return self._board.over(request, caller, errors.unknown("prompt", name))
        own = reference | {"name": Raw(wire.encode(found[1]))}
        return await self._board.forward(
            with_fields(request, fields, ref=own), caller, found[0]
        )

    async def _set_level(self, request: Envelope, caller: Caller) -> Call:
        async def tell(link: Link) -> None:
            with (
                contextlib.suppress(DomainError),
                link.leased(caller.principal) as peer,
            ):
                if link.is_open and link.offers("logging"):
                    await ask(
                        peer,
                        Envelope(method=request.method, params=request.params),
                        caller,
                    )

        async def work() -> Envelope:
            await asyncio.gather(*(tell(link) for link in self._board.links()))
            return Envelope(result=empty_result())

        return self._board.local(request, caller, work())

    async def _ping(self, request: Envelope, caller: Caller) -> Call:
        return self._board.over(request, caller, Envelope(result=empty_result()))

    async def _list(self, kind: Kind, request: Envelope, caller: Caller) -> Envelope:
        if "cursor" in fields_of(request.params):
            return errors.no_such_page()
        listed = await self._board.listed(kind, caller)
        return Envelope(result=Raw(list_result(kind, listed, self._board.names())))

    def _changes(self) -> list[Envelope]:
        """Return the notifications that tell clients to list anew."""
        capabilities = self._opened.get("capabilities", {})
        return [
            Envelope(method=f"notifications/{kind}/list_changed")
            for kind in ("tools", "prompts", "resources")
            if kind in capabilities
        ]
