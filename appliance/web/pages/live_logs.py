"""Log lines for the log view: events named ``log``, each ``{reset, lines: [{n, at, stream, text}]}``."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from aiohttp import web

from appliance.output.model import Batch, Line, Position, Stream
from appliance.servers.errors import NoBuildError
from appliance.web.keys import EVENTS, OUTPUT, SERVERS
from appliance.web.requests import principal_of
from appliance.web.sse import Message

#: Lines an event carries at most.
CHUNK = 500
#: Seconds in which a server's lines gather before they are sent.
GATHER_S = 0.1
#: Lines that a page begins with.
SHOWN = 500
EVENT = "log"
_NUMBER = re.compile(r"[0-9]{1,18}")


async def build_lines(request: web.Request, server_id: int) -> AsyncGenerator[Message]:
    """Yield the newest build's lines from the table, woken by events; a newer build begins the log anew."""
    servers, principal = request.app[SERVERS], principal_of(request)
    shown, after = _last_line(request)
    subscription = request.app[EVENTS].subscribe(server_id=server_id)
    async with contextlib.aclosing(subscription) as events:
        while True:
            with contextlib.suppress(NoBuildError):
                build = await servers.build(principal, server_id)
                if build.id != shown:
                    shown, after = build.id, 0
                    yield _message([], reset=True)
                while lines := await servers.build_lines(
                    principal, server_id, after=after
                ):
                    after = lines[-1].number
                    for start in range(0, len(lines), CHUNK):
                        found = lines[start : start + CHUNK]
                        texts = [
                            {"n": line.number, "text": line.text} for line in found
                        ]
                        yield _message(texts, id=f"{shown}.{found[-1].number}")
            if await anext(events, None) is None:
                return


async def output_lines(request: web.Request, server_id: int) -> AsyncGenerator[Message]:
    """Yield what the server printed last and then what it prints, over restarts and deployments."""
    after = Position.parse(request.headers.get("Last-Event-ID", ""))
    if after is None:
        yield _message([], reset=True)
    batches = request.app[OUTPUT].watch(server_id, after=after, lines=SHOWN)
    async with contextlib.aclosing(_gathered(batches)) as gathered:
        async for batch in gathered:
            for start in range(0, len(batch.lines), CHUNK):
                found = batch.lines[start : start + CHUNK]
                yield _message(
                    [_line(line) for line in found], id=str(found[-1].position)
                )
            if batch.missed or batch.has_gap:
                yield _message([_note(batch)])


def _message(
    lines: list[dict[str, Any]],
    *,
    reset: bool = False,
    id: str | None = None,  # noqa: A002 - as the standard calls it
) -> Message:
    return Message({"reset": reset, "lines": lines}, event=EVENT, id=id)


def _last_line(request: web.Request) -> tuple[int, int]:
    """Return the build and the line that a reader who comes back saw last; zeros for a new one."""
    build, _, line = request.headers.get("Last-Event-ID", "").partition(".")
    is_ours = _NUMBER.fullmatch(build) and _NUMBER.fullmatch(line)
    return (int(build), int(line)) if is_ours else (0, 0)


async def _gathered(batches: AsyncIterator[Batch]) -> AsyncGenerator[Batch]:
    """Yield batches put together, at most ten a second."""
    queue: asyncio.Queue[Batch | None] = asyncio.Queue(maxsize=CHUNK)

    async def read() -> None:
        try:
            async for batch in batches:
                await queue.put(batch)
        finally:
            await queue.put(None)

    reader = asyncio.create_task(read())
    try:
        while (first := await queue.get()) is not None:
            await asyncio.sleep(GATHER_S)
            found: list[Batch | None] = [first]
            found.extend(queue.get_nowait() for _ in range(queue.qsize()))
            known = [batch for batch in found if batch is not None]
            yield Batch(
                tuple(line for batch in known for line in batch.lines),
                missed=sum(batch.missed for batch in known),
                has_gap=any(batch.has_gap for batch in known),
            )
            if found[-1] is None:
                break
        reader.result()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


def _line(line: Line) -> dict[str, str]:
    printed = line.printed
    return {
        "at": printed.at.strftime("%H:%M:%S"),
        "stream": printed.stream.value,
        "text": f"[{printed.session[:8]}] {printed.text}"
        if printed.session
        else printed.text,
    }


def _note(batch: Batch) -> dict[str, str]:
    text = (
        f"{batch.missed:,} lines were left out here: this page could not keep up. The history has them."
        if batch.missed
        else "Lines before these are no longer kept."
    )
    return {"stream": Stream.NOTE.value, "text": text}
