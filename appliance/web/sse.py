"""Server-sent events: ids to resume from, a heartbeat, an end when the hub stops, and no noise from clients that left."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from appliance.core.errors import DomainError, UnauthenticatedError, UnavailableError
from appliance.infra.waiting import set_within
from appliance.web.keys import HEARTBEAT_S, PRINCIPAL, REQUEST_ID, STOPPING
from appliance.web.problems import problem_of
from appliance.web.requests import identify, move_time_limit, row_id

#: Milliseconds after which a client connects again.
RETRY_MS = 2000
#: Seconds in which a client takes the end of its stream.
END_WITHIN_S = 1.0
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
    request: web.Request, messages: AsyncIterator[Message]
) -> web.StreamResponse:
    """Send ``messages`` until they end, the client leaves, is no longer let in, or the hub stops.

    An error in mid-stream is told as an event named ``problem``, with the same members as an answer's; then the stream
    ends, and the client's reconnection gets the real status.
    """
    move_time_limit(request, None)
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    # A client that left is nothing to tell anybody of.
    with contextlib.suppress(ConnectionError):
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        try:
            await _pump(request, response, messages)
        except DomainError as error:
            problem = problem_of(error, request[REQUEST_ID])
            await response.write(Message(problem.as_json(), event="problem").encode())
        await response.write_eof()
    return response


async def pour(
    request: web.Request, chunks: AsyncGenerator[bytes]
) -> web.StreamResponse:
    """Send events that are bytes already until they end, the client leaves, is no longer let in, or the hub stops.

    For streams that many read at once: a chunk costs each of them one write and nothing else.
    """
    move_time_limit(request, None)
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        await chunks.aclose()
        return response
    with contextlib.suppress(ConnectionError):
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        tasks = (
            asyncio.create_task(_write_all(response, chunks)),
            asyncio.create_task(_beat(response, request.app[HEARTBEAT_S])),
            asyncio.create_task(_end_of_welcome(request)),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _cancel(*tasks)
            await chunks.aclose()
        # Whoever reads nothing does not read the end either.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await response.write_eof()
    return response


async def _write_all(
    response: web.StreamResponse, chunks: AsyncIterator[bytes]
) -> None:
    async for chunk in chunks:
        await response.write(chunk)


async def _beat(response: web.StreamResponse, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await response.write(b": still here\n\n")


async def _pump(
    request: web.Request,
    response: web.StreamResponse,
    messages: AsyncIterator[Message],
) -> None:
    ending = asyncio.create_task(_end_of_welcome(request))
    following: asyncio.Future[Message] = asyncio.ensure_future(anext(messages))
    try:
        while not ending.done():
            both: set[asyncio.Future[Any]] = {ending, following}
            done, _ = await asyncio.wait(
                both,
                timeout=request.app[HEARTBEAT_S],
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
        await _cancel(ending, following)
        if close := getattr(messages, "aclose", None):
            await close()


async def _end_of_welcome(request: web.Request) -> None:
    """Return when the hub stops, or when whoever opened the stream would not be let in the same way any more."""
    stopping = request.app[STOPPING]
    while not stopping.is_set():
        await set_within(stopping, request.app[HEARTBEAT_S])
        if PRINCIPAL in request and not await _is_welcome(request):
            return


async def _is_welcome(request: web.Request) -> bool:
    try:
        return await identify(request) == request[PRINCIPAL]
    except UnauthenticatedError:
        return False
    except UnavailableError:
        return True  # nobody can be asked now, which is no reason to turn anybody out


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def merged(*sources: AsyncGenerator[Message]) -> AsyncGenerator[Message]:
    """Yield from all sources as they come; ends when the first of them ends."""
    queue: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=16)

    async def drain(source: AsyncGenerator[Message]) -> None:
        try:
            async with contextlib.aclosing(source):
                async for message in source:
                    await queue.put(message)
        except Exception:
            await queue.put(None)
            raise
        await queue.put(None)

    async with contextlib.AsyncExitStack() as stack:
        tasks = [
            await stack.enter_async_context(running(drain(source)))
            for source in sources
        ]
        while (message := await queue.get()) is not None:
            yield message
        for task in tasks:
            if task.done():
                task.result()


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator["asyncio.Task[None]"]:
    """Run ``work`` beside what happens inside, and end it with that."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
