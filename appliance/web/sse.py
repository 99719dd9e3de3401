"""Server-sent events: ids to resume from, a heartbeat, an end when the hub stops, and no noise from clients that left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from appliance.core.errors import DomainError
from appliance.web.keys import REQUEST_ID, STOPPING
from appliance.web.problems import problem_of
from appliance.web.requests import move_time_limit, row_id

#: Seconds between comments that keep proxies from closing a silent stream, and tell us of clients that left.
HEARTBEAT_S = 15.0
#: Milliseconds after which a client connects again.
RETRY_MS = 2000
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # Nginx would hold the lines back until its buffer is full.
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True)
class Message:
    """One event of a stream.

    ``data`` is sent as it is when it is text (an HTML fragment), else as JSON.
    """

    data: Any
    event: str | None = None
    #: What a client that reconnects sends back as ``Last-Event-ID``.
    id: str | int | None = None

    def encode(self) -> bytes:
        """Return the bytes of the event; every line of the data gets its own ``data:``."""
        text = (
            self.data
            if isinstance(self.data, str)
            else orjson.dumps(self.data).decode()
        )
        lines = [f"data: {line}" for line in text.splitlines() or [""]]
        if self.event is not None:
            lines.insert(0, f"event: {_one_line(self.event)}")
        if self.id is not None:
            lines.insert(0, f"id: {_one_line(str(self.id))}")
        return ("\n".join(lines) + "\n\n").encode()


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def last_event_id(request: web.Request) -> int | None:
    """Return the id after which the client wants to go on, or ``None`` for a fresh start."""
    return row_id(request.headers.get("Last-Event-ID", ""))


async def stream(
    request: web.Request,
    messages: AsyncIterator[Message],
    *,
    heartbeat_s: float = HEARTBEAT_S,
) -> web.StreamResponse:
    """Send ``messages`` until they end, the client leaves or the hub stops.

    An error in mid-stream is told as an event named ``problem``, with the same members as an answer's; then the stream
    ends, and the client's reconnection gets the real status.
    """
    move_time_limit(request, None)
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    with contextlib.suppress(
        ConnectionError
    ):  # the client left: nothing to tell anybody
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        try:
            await _pump(request, response, messages, heartbeat_s)
        except DomainError as error:
            problem = problem_of(error, request[REQUEST_ID])
            await response.write(Message(problem.as_json(), event="problem").encode())
        await response.write_eof()
    return response


async def _pump(
    request: web.Request,
    response: web.StreamResponse,
    messages: AsyncIterator[Message],
    heartbeat_s: float,
) -> None:
    stopping = asyncio.create_task(request.app[STOPPING].wait())
    following: asyncio.Future[Message] = asyncio.ensure_future(anext(messages))
    try:
        while not stopping.done():
            both: set[asyncio.Future[Any]] = {stopping, following}
            done, _ = await asyncio.wait(
                both,
                timeout=heartbeat_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if following in done:
                await response.write(following.result().encode())
                following = asyncio.ensure_future(anext(messages))
            elif not done:
                await response.write(b": still here\n\n")
    except StopAsyncIteration:
        return
    finally:
        await _end(stopping, following)
        if close := getattr(messages, "aclose", None):
            await close()


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
