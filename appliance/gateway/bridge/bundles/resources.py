"""Resources of a bundle: URIs are their members' own, so whose one is must be found out."""

import asyncio
from collections.abc import Sequence

from msgspec import UNSET, Raw

from appliance.gateway.bridge.bundles import errors
from appliance.gateway.bridge.bundles.items import RESOURCES, TEMPLATES
from appliance.gateway.bridge.bundles.link import Link
from appliance.gateway.bridge.bundles.requests import (
    fields_of,
    text_of,
    with_fields,
)
from appliance.gateway.bridge.bundles.streams import updated_uri
from appliance.gateway.bridge.bundles.switchboard import Switchboard
from appliance.gateway.bridge.bundles.targets import owners
from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.members import Member
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Subscriptions that are remembered; beyond it the oldest is forgotten.
SUBSCRIPTIONS_LIMIT = 10_000


class Resources:
    """Finds the member of a URI and asks it.

    Args:
        board: Reaches the members.
    """

    def __init__(self, board: Switchboard) -> None:
        """Remember no subscription."""
        self._board = board
        #: Who subscribed under which URI to what: the member and its own URI.
        self._subscribed: dict[tuple[Caller, str], tuple[int, str]] = {}

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Read, subscribe or unsubscribe."""
        fields = fields_of(request.params)
        uri = text_of(fields.get("uri"))
        named = self._board.names().find_uri(uri)
        own = named[1] if named else uri
        members = [named[0]] if named else await self._members(request, caller, uri)
        onward = with_fields(request, fields, uri=own)
        if not members:
            return self._board.over(request, caller, errors.unknown("resource", uri))
        if len(members) == 1:
            self._remember(request, caller, uri, (members[0].server_id, own))
            return await self._board.forward(onward, caller, members[0])
        return self._board.local(
            request, caller, self._try(onward, caller, uri, members)
        )

    async def complete(
        self, request: Envelope, caller: Caller, reference: dict[str, Raw]
    ) -> Call:
        """Complete a template's variable at the member that lists the template."""
        uri = text_of(reference.get("uri"))
        named = self._board.names().find_uri(uri)
        members = [named[0]] if named else await self._listing(uri, caller)
        if not members:
            return self._board.over(request, caller, errors.unknown("resource", uri))
        own = reference | {"uri": Raw(wire.encode(named[1] if named else uri))}
        onward = with_fields(request, fields_of(request.params), ref=own)
        return await self._board.forward(onward, caller, members[0])

    def shown(self, link: Link, caller: Caller, body: bytes) -> bytes:
        """Return what a member says as ``caller`` knows it: an updated resource under the URI it was subscribed to by."""
        own = updated_uri(body)
        if own is None:
            return body
        place = (link.member.server_id, own)
        for (who, uri), where in self._subscribed.items():
            if who == caller and where == place and uri != own:
                params = Raw(wire.encode({"uri": uri}))
                return wire.encode(
                    Envelope(method="notifications/resources/updated", params=params)
                )
        return body

    def end_session(self, caller: Caller) -> None:
        """Forget the subscriptions of a session."""
        for key in [key for key in self._subscribed if key[0] == caller]:
            del self._subscribed[key]

    async def _members(
        self, request: Envelope, caller: Caller, uri: str
    ) -> Sequence[Member]:
        """Return who may have ``uri``: who was subscribed to, who lists it, or everybody who has resources at all."""
        kept = self._subscribed.get((caller, uri))
        links = self._board.links()
        if kept is not None and request.method != "resources/read":
            return [link.member for link in links if link.member.server_id == kept[0]]
        found = await self._listing(uri, caller)
        return found or [link.member for link in links if link.offers("resources")]

    async def _listing(self, uri: str, caller: Caller) -> Sequence[Member]:
        resources, templates = await asyncio.gather(
            self._board.listed(RESOURCES, caller),
            self._board.listed(TEMPLATES, caller),
        )
        return owners(uri, resources, templates)

    async def _try(
        self, request: Envelope, caller: Caller, uri: str, members: Sequence[Member]
    ) -> Envelope:
        """Ask one member after the other and return the first good answer, else the first."""
        first: Envelope | None = None
        for member in members:
            answer = await self._board.asked(
                member, Envelope(method=request.method, params=request.params), caller
            )
            if answer.error is UNSET:
                self._remember(request, caller, uri, (member.server_id, uri))
                return answer
            first = first or answer
        return first or errors.unknown("resource", uri)

    def _remember(
        self, request: Envelope, caller: Caller, uri: str, where: tuple[int, str]
    ) -> None:
        if request.method == "resources/subscribe":
            self._subscribed[caller, uri] = where
            if len(self._subscribed) > SUBSCRIPTIONS_LIMIT:
                del self._subscribed[next(iter(self._subscribed))]
        elif request.method == "resources/unsubscribe":
            self._subscribed.pop((caller, uri), None)
