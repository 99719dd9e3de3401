"""How the bridge answers: with JSON, with the events of a call, or with a stream of notifications."""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from appliance.gateway.bridge import eras, subscriptions
from appliance.gateway.bridge.calls import Call, Stream
from appliance.gateway.bridge.eras import Era
from appliance.gateway.bridge.handshake import initialize_result
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope


def initialized(message: Envelope, opened: Mapping[str, Any]) -> http.Answer:
    """Answer ``initialize`` from what the server said when it was opened, under a new session id."""
    result = initialize_result(opened, _revision(message))
    headers = {http.SESSION_HEADER: secrets.token_hex(16)}
    return http.json_answer(
        wire.result_body(wire.id_of(message), result), headers=headers
    )


def _revision(message: Envelope) -> str:
    try:
        params: Any = msgspec.json.decode(
            b"{}" if message.params is UNSET else message.params
        )
        return str(params.get("protocolVersion", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""


async def call(
    request: http.Request, call: Call, server: Peer, era: Era
) -> http.Answer:
    """Answer with JSON if nothing comes before the answer, or the client reads nothing else; with events otherwise."""
    try:
        if not http.accepts_events(request):
            while not call.is_over:
                await call.news()
            call.notes.clear()
        elif not call.is_over:
            await call.news(within_s=http.KEEP_ALIVE_S)
        if not call.is_over or call.notes:
            return await _stream(request, call, era)
        if call.error is not None:
            return http.failure(call.client_id, call.error)
        answer = era.answer(call)
        return http.json_answer(answer.body, status=answer.status)
    finally:
        server.abandon(call)


async def _stream(request: http.Request, call: Call, era: Era) -> http.Answer:
    """Send the call's notifications as they come, and its answer last."""
    response = await http.event_stream(request)
    with contextlib.suppress(
        ConnectionError
    ):  # a client that went away is how streams end
        async with http.keep_alive(response):
            while call.notes or not call.is_over:
                for note in call.take_notes():
                    if (body := era.note(note)) is not None:
                        await response.write(wire.sse_event(body))
                if not call.is_over:
                    await call.news()
            await response.write(wire.sse_event(era.answer(call).body))
    return response


async def listen(
    request: http.Request, modern: eras.Modern, server: Peer, stream: Stream
) -> http.Answer:
    """Serve a subscription of the modern era until the client hangs up."""
    request_id = wire.id_of(modern.request)
    granted = subscriptions.honoured(modern.wanted, await server.opened())
    return await notifications(
        request,
        stream,
        lambda body: subscriptions.subscribed(body, request_id, granted),
        first=subscriptions.acknowledgement(request_id, granted),
    )


async def notifications(
    request: http.Request,
    stream: Stream,
    show: Callable[[bytes], bytes | None],
    *,
    first: bytes | None = None,
) -> http.Answer:
    """Send what the server says to nobody in particular, as ``show`` renders it."""
    response = await http.event_stream(request)
    with contextlib.suppress(ConnectionError):
        async with http.keep_alive(response):
            if first is not None:
                await response.write(wire.sse_event(first))
            while (body := await stream.get()) is not None:
                if (shown := show(body)) is not None:
                    await response.write(wire.sse_event(shown))
    return response
