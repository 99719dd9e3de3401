"""Servers behind the bridge's seam, without a process: good, dead, slow and lying ones."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.errors import InstanceEndedError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope


class FakePeer:
    """Offers what it is told to; an answer that is not JSON is sent as it is."""

    def __init__(
        self,
        *tools: str,
        answers: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> None:
        self.is_dead = False
        self.is_slow = False
        self.capabilities = capabilities or {"tools": {}}
        self.answers: dict[str, Any] = {
            "tools/list": {
                "tools": [
                    {"name": name, "inputSchema": {"type": "object"}} for name in tools
                ]
            },
            **(answers or {}),
        }
        self.seen: list[tuple[str, Any, Caller]] = []
        self.notified: list[Envelope] = []
        self.abandoned: list[Call] = []
        self.streams: list[Stream] = []
        self.ended: list[Caller] = []
        self.openings = 0

    async def opened(self) -> Mapping[str, Any]:
        self.openings += 1
        if self.is_dead:
            raise InstanceEndedError("The server ended with exit status 1.")
        if self.is_slow:
            await asyncio.Event().wait()
        return {"capabilities": self.capabilities, "serverInfo": {"name": "fake"}}

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        method = str(request.method)
        params = {} if request.params is UNSET else msgspec.json.decode(request.params)
        self.seen.append((method, params, caller))
        call = Call(caller, wire.id_of(request), method, b"1", None)
        answer = self.answers.get(method, {})
        if isinstance(answer, DomainError):
            call.finish(error=answer)
        elif isinstance(answer, bytes):
            call.finish(answer=Envelope(result=Raw(answer)))
        elif callable(answer):
            call.finish(answer=answer(params))
        elif answer is not None:  # None: it never answers
            call.finish(answer=Envelope(result=Raw(json.dumps(answer).encode())))
        return call

    def abandon(self, call: Call) -> None:
        self.abandoned.append(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:  # noqa: ARG002
        self.notified.append(notification)

    def open_stream(self, caller: Caller) -> Stream:
        stream = Stream(caller)
        self.streams.append(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        self.streams.remove(stream)

    def end_session(self, caller: Caller) -> None:
        self.ended.append(caller)

    async def close(self) -> None:
        pass
