"""Lines of a server's output as streams, pages and files show them."""

from collections.abc import AsyncGenerator, AsyncIterator

import orjson
from aiohttp import web

from appliance.output.model import Batch, Line
from appliance.web.requests import move_time_limit

_MADE = "sse"


def line_event(line: Line) -> bytes:
    """Return one line as an event named ``log``."""
    printed = line.printed
    data = {
        "at": printed.at,
        "stream": printed.stream.value,
        "text": printed.text,
        "deployment_id": printed.deployment_id,
        "session": printed.session,
    }
    return b"id: %s\nevent: log\ndata: %s\n\n" % (
        str(line.position).encode(),
        orjson.dumps(data),
    )


def batch_events(batch: Batch) -> bytes:
    """Return a batch as events; made once for all who follow."""
    made: bytes | None = batch.made.get(_MADE)
    if made is None:
        made = b"".join(map(line_event, batch.lines))
        if batch.has_gap:
            made = b"event: gap\ndata: {}\n\n" + made
        if batch.missed:
            made = b'event: missed\ndata: {"lines":%d}\n\n' % batch.missed + made
        batch.made[_MADE] = made
    return made


async def events_of(
    batches: AsyncGenerator[Batch],
) -> AsyncGenerator[bytes]:
    """Yield batches as events; one named ``end`` is the last."""
    async for batch in batches:
        if data := batch_events(batch):
            yield data
    yield b"event: end\ndata: {}\n\n"


def text_line(line: Line) -> str:
    """Return a line as it stands in a file."""
    printed = line.printed
    return f"{printed.at.isoformat()} {printed.stream.value} {printed.text}\n"


async def send_file(
    request: web.Request, name: str, lists: AsyncIterator[list[Line]]
) -> web.StreamResponse:
    """Send lines as a text file, as they are found."""
    safe = "".join(letter for letter in name if letter.isalnum() or letter in "-.")
    move_time_limit(request, None)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{safe}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    async for lines in lists:
        await response.write("".join(map(text_line, lines)).encode())
    await response.write_eof()
    return response
