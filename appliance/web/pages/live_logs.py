"""Log lines for the log view: events named ``log``, each ``{reset, lines: [{n, at, stream, text}]}``."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError
from appliance.runtimes.model import LogLine
from appliance.servers.errors import NoBuildError
from appliance.web.keys import EVENTS, SERVERS
from appliance.web.requests import principal_of
from appliance.web.sse import Message

#: Lines an event carries at most.
CHUNK = 500
#: Seconds in which an instance's lines gather before they are sent.
GATHER_S = 0.1
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


async def instance_lines(
    request: web.Request, server_id: int
) -> AsyncGenerator[Message]:
    """Yield what the routed instance prints, then what the next one does: a crash is read best with what came before."""
    servers, principal = request.app[SERVERS], principal_of(request)
    since = _last_moment(request)
    if since is None:
        yield _message([], reset=True)
    subscription = request.app[EVENTS].subscribe(
        server_id=server_id, kinds={"server.status"}
    )
    async with contextlib.aclosing(subscription) as events:
        while True:
            lines = servers.follow_logs(principal, server_id)
            async with contextlib.aclosing(_gathered(lines)) as batches:
                async for batch in batches:
                    new = [line for line in batch if since is None or line.at > since]
                    if new:
                        since = new[-1].at
                        texts = [_line(line) for line in new]
                        yield _message(texts, id=since.isoformat())
            # The instance ended, or there is none: the next one shows itself by the server's status.
            if await anext(events, None) is None:
                return


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


def _last_moment(request: web.Request) -> datetime | None:
    """Return when the line was printed that a reader who comes back saw last; ``None`` for a new one."""
    try:
        found = datetime.fromisoformat(request.headers.get("Last-Event-ID", ""))
    except ValueError:
        return None
    return found if found.tzinfo else None


async def _gathered(lines: AsyncIterator[LogLine]) -> AsyncGenerator[list[LogLine]]:
    """Yield lines in lists, at most ten lists a second, with an end when the instance or the engine is gone."""
    queue: asyncio.Queue[LogLine | None] = asyncio.Queue(maxsize=CHUNK)

    async def read() -> None:
        try:
            with contextlib.suppress(DomainError):
                async for line in lines:
                    await queue.put(line)
        except Exception:
            await queue.put(None)
            raise
        await queue.put(None)

    reader = asyncio.create_task(read())
    try:
        while (first := await queue.get()) is not None:
            await asyncio.sleep(GATHER_S)
            batch: list[LogLine | None] = [first]
            batch.extend(queue.get_nowait() for _ in range(queue.qsize()))
            yield [line for line in batch if line is not None]
            if batch[-1] is None:
                return
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


def _line(line: LogLine) -> dict[str, str]:
    return {
        "at": line.at.strftime("%H:%M:%S"),
        "stream": line.stream,
        "text": line.text,
    }
