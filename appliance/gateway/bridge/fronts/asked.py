"""What clients with a session were asked and have not answered yet."""

import asyncio
from dataclasses import dataclass

from msgspec import Raw

from appliance.gateway.bridge.calls import Ask, Caller
from appliance.gateway.bridge.questions import NO_ROOTS
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.capabilities import lacking
from appliance.gateway.protocol.wire import Envelope

#: Questions that one session may have open.
LIMIT = 64


@dataclass(eq=False)
class _Open:
    caller: Caller
    ask: Ask
    expiry: asyncio.TimerHandle


class Asked:
    """The questions of all sessions.

    Args:
        within_s: Seconds that a client has to answer.
    """

    def __init__(self, within_s: float) -> None:
        """Have asked nobody."""
        self._within_s = within_s
        self._open: dict[str, _Open] = {}

    def put(self, ask: Ask, caller: Caller) -> bytes | None:
        """Return the request that ``caller`` is sent; ``None``: it cannot be asked, and the server was told."""
        missing = lacking(ask.method, ask.params, caller.capabilities)
        if missing and ask.method == "roots/list":
            ask.reply(Envelope(result=NO_ROOTS))
            return None
        if missing:
            ask.refuse(
                wire.METHOD_NOT_FOUND,
                f"The client does not support {ask.method}: it lacks {wire.encode(missing).decode()}.",
            )
            return None
        if sum(item.caller == caller for item in self._open.values()) >= LIMIT:
            ask.refuse(wire.INVALID_REQUEST, "The client has too many questions open.")
            return None
        expiry = asyncio.get_running_loop().call_later(
            self._within_s, self._expire, ask.key
        )
        self._open[ask.key] = _Open(caller, ask, expiry)
        request_id = Raw(wire.encode(ask.key))
        return wire.encode(
            Envelope(id=request_id, method=ask.method, params=ask.params)
        )

    def answer(self, answer: Envelope, caller: Caller) -> bool:
        """Give the server what ``caller`` answers; return whether it was asked."""
        key = wire.string_of(answer.id)
        item = self._open.get(key)
        if item is None or item.caller != caller:
            return False
        self._close(key)
        item.ask.reply(answer)
        return True

    def drop(self, keys: list[str]) -> None:
        """Forget questions whose call is over."""
        for key in keys:
            self._close(key)

    def end_session(self, caller: Caller) -> None:
        """Tell servers that ``caller`` will not answer."""
        for key, item in list(self._open.items()):
            if item.caller == caller:
                self._close(key)
                item.ask.refuse(wire.INVALID_REQUEST, "The client ended its session.")

    def _expire(self, key: str) -> None:
        item = self._open.pop(key, None)
        if item is not None:
            item.ask.refuse(wire.INVALID_REQUEST, "The client did not answer in time.")

    def _close(self, key: str) -> None:
        item = self._open.pop(key, None)
        if item is not None:
            item.expiry.cancel()
