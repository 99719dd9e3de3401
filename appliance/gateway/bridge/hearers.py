"""Who hears what one stdio server says without naming a call.

Such a message belongs to nobody in particular, and may still speak of somebody's data. So:

- ``resources/updated`` goes to the streams of those who subscribed to that resource;
- what speaks of a task or of an elicitation goes to whom it was made for;
- a log message goes to the call that it must belong to; if it may belong to several calls, but of one principal, to that
  principal's streams; with none, to every stream as long as one principal alone has used the server; otherwise to nobody,
  because it cannot be known whose it is. Calls that were answered a moment ago, or were given up, count too
  (``afterthoughts``);
- the rest (``…/list_changed``) goes to every stream.

A server that one session has for itself (``owner``) speaks to that session alone, and none of this is in question.
"""

from collections.abc import Iterator

from msgspec import Raw, UnsetType

from appliance.gateway.bridge.belongings import Belongings
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.subscribers import Subscribers
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.levels import LogLevels
from appliance.gateway.protocol.wire import Envelope


class Hearers:
    """The open streams of one server, and what their clients asked to hear of.

    Args:
        owner: The session that has the server for itself; ``None``: it is shared.
    """

    def __init__(self, owner: Caller | None = None) -> None:
        """Have none."""
        self._owner = owner
        self.streams: set[Stream] = set()
        self.subscribers = Subscribers()
        self.levels = LogLevels()
        self.belongings = Belongings()
        #: Who has used the server, as far as it matters: nobody, one, or several.
        self._principals: set[str] = set()
        #: Messages that were for nobody.
        self.dropped = 0

    def note_user(self, caller: Caller) -> None:
        """Take note that ``caller`` uses the server."""
        if len(self._principals) <= 1:
            self._principals.add(caller.principal)

    def end_session(self, caller: Caller) -> list[Raw]:
        """Close the streams of a session; return what nobody is subscribed to any more."""
        for stream in [item for item in self.streams if item.caller == caller]:
            stream.close()
        self.levels.forget(caller)
        return self.subscribers.forget(caller)

    def hear(self, message: Envelope, call: Call | None, whose: set[str]) -> None:
        """Hand a notification to whom it concerns.

        Args:
            call: The call in flight that a message without a name must belong to; ``None``: it cannot be told.
            whose: The principals of whom it may speak; none: nothing is known of any.
        """
        body = wire.encode(Envelope(method=message.method, params=message.params))
        if message.method == "notifications/message":
            self._log(message.params, body, call, whose)
            return
        for stream in list(self._recipients(message)):
            stream.put(body)

    def _log(
        self,
        params: Raw | UnsetType,
        body: bytes,
        call: Call | None,
        whose: set[str],
    ) -> None:
        if call is not None:
            if self.levels.wants(call.caller, params):
                call.note(body)
            return
        principals = whose or self._principals
        if len(principals) > 1 and self._owner is None:
            self.dropped += 1
            return
        for stream in list(self.streams):
            is_theirs = stream.caller.principal in principals
            if is_theirs and self.levels.wants(stream.caller, params):
                stream.put(body)

    def _recipients(self, message: Envelope) -> Iterator[Stream]:
        method = str(message.method)
        if method == "notifications/resources/updated":
            subscribed = self.subscribers.of(message.params)
            return (stream for stream in self.streams if stream.caller in subscribed)
        if self._owner is None and self.belongings.is_owned(method):
            owner = self.belongings.owner(message)
            return (stream for stream in self.streams if stream.caller == owner)
        return iter(self.streams)
