"""Answer one request: with JSON if nothing comes before its answer, or the client reads nothing else; with events otherwise."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Ask, Call, opens_addresses
from appliance.gateway.errors import SigninNeededError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire


@dataclass(frozen=True)
class Ending:
    """The last thing that a client is told."""

    body: bytes
    status: int = 200


class Manner(Protocol):
    """How one client is spoken to during a call."""

    def note(self, body: bytes) -> bytes | None:
        """Return a notification in mid-call as the client sees it; ``None``: it does not want it."""
        ...

    def ask(self, ask: Ask) -> bytes | None:
        """Take what the server asks; return what the client is sent at once, if anything."""
        ...

    def pause_s(self) -> float | None:
        """Return after how many seconds without news the exchange may end; ``None``: not before the call is over."""
        ...

    def ending(self, call: Call) -> Ending | None:
        """Return how the exchange ends; ``None``: it does not yet."""
        ...


#: A call and how its client is spoken to.
Exchange = tuple[Call, Manner]


def failed(call: Call, error: DomainError) -> Ending:
    """Return the end of a call that broke."""
    told = _as_told(call, error)
    body = http.failure_body(call.client_id, told)
    return Ending(body, http.failure_status(told))


async def answered(request: http.Request, call: Call, manner: Manner) -> http.Answer:
    """Return the answer to ``request``, or the stream once it has ended."""
    within_s = http.KEEP_ALIVE_S if http.accepts_events(request) else None
    said = await _following(call, manner, within_s=within_s)
    if isinstance(said, Ending):
        return _whole(call, said)
    return await _streamed(request, [(call, manner)], said)


async def answered_together(
    request: http.Request, exchanges: Sequence[Exchange]
) -> http.Answer:
    """Return the answers to a JSON-RPC batch, in any order: as events if the client reads them, else as one array."""
    if http.accepts_events(request):
        return await _streamed(request, exchanges, [])
    endings = await asyncio.gather(*(_ending(*exchange) for exchange in exchanges))
    return http.json_answer(b"[%b]" % b",".join(item.body for item in endings))


async def tell(
    call: Call, manner: Manner, write: Callable[[bytes], Awaitable[None]]
) -> None:
    """Write what comes, as it comes, up to the call's end."""
    said: list[bytes] | Ending = []
    while not isinstance(said, Ending):
        for body in said:
            await write(body)
        said = await _following(call, manner)
    await write(said.body)


async def _ending(call: Call, manner: Manner) -> Ending:
    while not isinstance(said := await _following(call, manner), Ending):
        pass
    return said


async def _streamed(
    request: http.Request, exchanges: Sequence[Exchange], said: Sequence[bytes]
) -> http.Answer:
    response = await http.event_stream(request, _told_to_workers(exchanges[0][0]))

    async def write(body: bytes) -> None:
        await response.write(wire.sse_event(body))

    # A client that went away is how streams end.
    with contextlib.suppress(ConnectionError):
        async with http.keep_alive(response):
            for body in said:
                await write(body)
            await asyncio.gather(*(tell(*exchange, write) for exchange in exchanges))
    return response


async def _following(
    call: Call, manner: Manner, *, within_s: float | None = None
) -> list[bytes] | Ending:
    """Wait for something to say, or for ``within_s`` seconds in which there is nothing."""
    while True:
        if events := _shown(call, manner):
            return events
        if (ending := manner.ending(call)) is not None:
            return ending
        pause_s = manner.pause_s()
        await call.news(within_s=within_s if pause_s is None else pause_s)
        if pause_s is None and within_s is not None and not _has_news(call):
            return []


def _has_news(call: Call) -> bool:
    return bool(call.is_over or call.notes or call.asks)


def _shown(call: Call, manner: Manner) -> list[bytes]:
    notes = [manner.note(note) for note in call.take_notes()]
    asks = [manner.ask(ask) for ask in call.take_asks()]
    return [body for body in (*notes, *asks) if body is not None]


def _whole(call: Call, ending: Ending) -> http.Answer:
    headers = _told_to_workers(call)
    if call.error is not None:
        return http.failure(call.client_id, _as_told(call, call.error), headers=headers)
    return http.json_answer(ending.body, status=ending.status, headers=headers)


def _as_told(call: Call, error: DomainError) -> DomainError:
    """Return ``error`` as this call's client understands it best."""
    if not isinstance(error, SigninNeededError):
        return error
    is_opener = call.caller.revision == _OPENS_ADDRESSES and opens_addresses(
        call.caller
    )
    return error.to_opener() if is_opener else error


#: The revision in which an address that its person is to open may be the answer to any request.
_OPENS_ADDRESSES = "2025-11-25"


def _told_to_workers(call: Call) -> dict[str, str]:
    """Return the header that says which member of a bundle answers; a batch is told by its first call."""
    return {http.SERVER_HEADER: str(call.server_id)} if call.server_id else {}
