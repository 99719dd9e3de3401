"""What the clients of one session asked for beyond their calls: resources to hear of, and a level of log messages. Pure.

Several may share a session. The server is asked once, and hears of an end when nobody is left; a new session is asked again.
"""

from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.subscribers import Subscribers
from appliance.gateway.protocol.levels import LogLevels
from appliance.gateway.protocol.wire import Envelope

_SET_LEVEL = "logging/setLevel"
_SUBSCRIBE, _UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
#: Requests that concern a session as a whole.
METHODS = {_SET_LEVEL, _SUBSCRIBE, _UNSUBSCRIBE}

#: A method and its parameters.
Own = tuple[str, Raw]


class Wishes:
    """Remembers them."""

    def __init__(self) -> None:
        """Know of none."""
        self._subscribers = Subscribers()
        self._levels = LogLevels()

    def onward(self, request: Envelope, caller: Caller) -> Envelope | None:
        """Return ``request`` as the server is to be asked; ``None``: it need not be."""
        if request.method not in METHODS:
            return request
        method = str(request.method)
        if method == _SET_LEVEL:
            params = self._levels.set(caller, request.params)
            return Envelope(id=request.id, method=method, params=params)
        return (
            request if self._subscribers.needs(method, request.params, caller) else None
        )

    def before_call(self, caller: Caller) -> list[Own]:
        """Return what the server must be told so that a call without a session gets the log messages that it wants."""
        level = self._levels.lower(caller.log_level) if caller.log_level else None
        return [] if level is None else [(_SET_LEVEL, level)]

    def renewals(self) -> list[Own]:
        """Return what a new session is to be asked for."""
        level = self._levels.now()
        return [
            *([] if level is None else [(_SET_LEVEL, level)]),
            *((_SUBSCRIBE, params) for params in self._subscribers.params()),
        ]

    def forget(self, caller: Caller) -> list[Own]:
        """Forget a client that is gone; return what the server is to be told."""
        self._levels.forget(caller)
        return [(_UNSUBSCRIBE, params) for params in self._subscribers.forget(caller)]

    def wants(self, caller: Caller, message: Envelope) -> bool:
        """Whether a notification is for ``caller``, as far as it was asked for."""
        if message.method == "notifications/resources/updated":
            return caller in self._subscribers.of(message.params)
        if message.method == "notifications/message" and message.params is not UNSET:
            return self._levels.wants(caller, message.params)
        return True
