"""One task for every call that is seen through by itself, from its request to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.peers.flight import Flight
from appliance.gateway.errors import ConnectionLostError
from appliance.gateway.protocol.wire import Envelope

#: Sees a call through with the request as the server gets it, and finishes it; errors of the domain end the call.
Carry = Callable[[Call, Envelope], Coroutine[Any, Any, None]]


class Carriers:
    """The calls of ``flight``, each carried by a task of its own."""

    def __init__(self, flight: Flight, carry: Carry) -> None:
        """Carry nothing yet."""
        self._flight = flight
        self._carry = carry
        self._tasks: dict[Call, asyncio.Task[None]] = {}

    def begin(self, request: Envelope, caller: Caller) -> Call:
        """Set out with ``request`` and return the call at once."""
        call, onward = self._flight.begin(request, caller)
        task = asyncio.create_task(self._see_through(call, onward))
        self._tasks[call] = task
        task.add_done_callback(lambda _: self._tasks.pop(call, None))
        return call

    def abandon(self, call: Call) -> None:
        """Turn back with ``call`` unless it is over."""
        if self._flight.end(call) and (task := self._tasks.get(call)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Turn back with every call."""
        self._flight.fail(ConnectionLostError("The server was let go of."))
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _see_through(self, call: Call, request: Envelope) -> None:
        try:
            await self._carry(call, request)
        except DomainError as error:
            call.finish(error=error)
        finally:
            self._flight.end(call)
            # Nobody waits for ever, whatever went wrong here.
            call.finish(error=ConnectionLostError("The call was not seen through."))
