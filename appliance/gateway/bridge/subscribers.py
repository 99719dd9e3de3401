"""Who subscribed to which resource of one server, which knows no more than that somebody did. Pure."""

from collections.abc import Collection, Iterator

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.protocol import wire

#: Resources that are remembered as subscribed to; beyond it the oldest is forgotten.
LIMIT = 10_000


class _Target(msgspec.Struct):
    uri: str = ""


class Subscribers:
    """The subscriptions of all callers."""

    def __init__(self) -> None:
        """Know of none."""
        self._of: dict[str, set[Caller]] = {}

    def needs(self, method: str, params: Raw | UnsetType, caller: Caller) -> bool:
        """Note what ``caller`` asks for; return whether the server must be asked too.

        It must not be when one of several subscribers leaves: the others still want to hear.
        """
        if method == "resources/subscribe":
            if len(self._of) >= LIMIT:
                del self._of[next(iter(self._of))]
            self._of.setdefault(_uri(params), set()).add(caller)
        elif method == "resources/unsubscribe":
            return self._leave(_uri(params), caller)
        return True

    def of(self, params: Raw | UnsetType) -> Collection[Caller]:
        """Return who wants to hear of what ``notifications/resources/updated`` names."""
        return self._of.get(_uri(params), set())

    def forget(self, caller: Caller) -> list[Raw]:
        """End all subscriptions of ``caller``; return those that nobody has any more, as the server is told."""
        mine = [uri for uri, callers in self._of.items() if caller in callers]
        return [_params(uri) for uri in mine if self._leave(uri, caller)]

    def params(self) -> Iterator[Raw]:
        """Yield what somebody is subscribed to, as a server that was opened anew is told."""
        return map(_params, list(self._of))

    def _leave(self, uri: str, caller: Caller) -> bool:
        """Return whether nobody is left."""
        callers = self._of.get(uri, set())
        callers.discard(caller)
        if not callers:
            self._of.pop(uri, None)
        return not callers


def _params(uri: str) -> Raw:
    return Raw(wire.encode({"uri": uri}))


def _uri(params: Raw | UnsetType) -> str:
    try:
        return msgspec.json.decode(
            b"{}" if params is UNSET else params, type=_Target
        ).uri
    except msgspec.DecodeError:
        return ""
