"""A server behind the bridge, whatever it speaks; and what of the bridge its clients' side uses.

The bridge has two halves. *Fronts* speak to clients: streamable HTTP with sessions, the stateless era, HTTP+SSE. *Peers* speak
to servers: stdio, streamable HTTP with sessions, the stateless era, HTTP+SSE, or a bundle of other peers. Between them there is
one neutral form, so that every front works with every peer:

- messages are those of revision 2025-11-25, as ``Envelope``; ids are the bridge's own business on either side;
- a request becomes a ``Call``; notifications that belong to it, and the server's own requests (``Ask``), arrive on the call;
- what belongs to no call arrives on a ``Stream``;
- ``resources/subscribe`` and ``logging/setLevel`` are requests like others; a peer whose server has other words for them
  translates;
- whoever hangs up cancels.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.protocol.wire import Envelope


class Peer(Protocol):
    """One server, opened and shared by many callers. ``stdio.StdioServer`` was the first."""

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server says of itself, in the form of an ``initialize`` result; opens it first where need be.

        Raises:
            DomainError: It cannot be had; the reason is fit for a client.
        """
        ...

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once; what goes wrong later ends the call with an error."""
        ...

    def abandon(self, call: Call) -> None:
        """Nobody waits for ``call`` any more: cancel it at the server unless it is over."""
        ...

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on. A cancellation names the client's id of a call of the same caller."""
        ...

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says that belongs to no call."""
        ...

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        ...

    def end_session(self, caller: Caller) -> None:
        """Close the streams and forget the subscriptions of a session that its client ended."""
        ...

    async def close(self) -> None:
        """Let go of the server; it keeps running."""
        ...


@runtime_checkable
class Describes(Protocol):
    """A peer that tells people, and tests, what it knows of its server."""

    def describe(self) -> Mapping[str, Any]:
        """Return what is known, as JSON."""
        ...


@runtime_checkable
class Retires(Protocol):
    """A peer that keeps something for its clients beyond their calls."""

    @property
    def is_needed(self) -> bool:
        """Whether clients would lose something if it were closed."""
        ...

    def retire(self) -> None:
        """Nothing leads to the server any more: let go of what nobody waits for. May be called again."""
        ...
