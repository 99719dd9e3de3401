"""Requests of the modern era over streamable HTTP: each a POST of its own, with headers that repeat what it is."""

import structlog
from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.peers import speech
from appliance.gateway.bridge.peers.carriers import Carriers
from appliance.gateway.bridge.peers.door import Door, is_stream, messages_in
from appliance.gateway.bridge.peers.events import EventReader
from appliance.gateway.bridge.peers.flight import (
    Flight,
    code_of,
    fields_of,
    items_of,
    value_of,
)
from appliance.gateway.bridge.peers.param_headers import (
    BadMarkError,
    Marks,
    headers_of,
    marks_of,
)
from appliance.gateway.bridge.traffic import OURSELVES
from appliance.gateway.errors import ConnectionLostError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

log = structlog.get_logger("gateway.peers")

#: Tools whose marked arguments are remembered; beyond it all are forgotten, and learned again.
TOOLS_KEPT = 10_000
#: Pages of a list of tools that are read in search of one tool.
PAGES = 100


class HttpLine:
    """One server."""

    def __init__(self, door: Door) -> None:
        """Ask nothing yet."""
        self._door = door
        self._flight = Flight()
        self._carriers = Carriers(self._flight, self._carry)
        self._marks: dict[str, Marks] = {}

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once."""
        return self._carriers.begin(request, caller)

    def abandon(self, call: Call) -> None:
        """Hang up, which cancels ``call`` unless it is over."""
        self._carriers.abandon(call)

    async def close(self) -> None:
        """Hang up on everything."""
        await self._carriers.close()

    async def _carry(self, call: Call, request: Envelope) -> None:
        answer = await self._exchange(call, request)
        if code_of(answer) == wire.HEADER_MISMATCH and call.method == _CALL:
            # Not run: an argument that is to be repeated in a header was not known to be one.
            await self._learn(request)
            request.id = Raw(self._flight.new_id())
            answer = await self._exchange(call, request)
        call.finish(answer=self._without_bad_tools(call.method, answer))

    async def _exchange(self, call: Call, request: Envelope) -> Envelope:
        """Return the answer; what comes before it goes to ``call``."""
        headers = [("Accept", f"{http.JSON}, {http.EVENT_STREAM}")]
        headers += [("Content-Type", http.JSON), *speech.headers_of(request)]
        if request.method == _CALL:
            fields = fields_of(request.params)
            marks = self._marks.get(str(value_of(fields.get("name"))), {})
            headers += headers_of(marks, value_of(fields.get("arguments")))
        async with await self._door.ask("POST", headers, wire.encode(request)) as told:
            self._door.check(told)
            if is_stream(told):
                async for event in self._door.events(
                    told, EventReader(self._door.limit)
                ):
                    for message in _readable(event.data):
                        if message.method is UNSET:
                            return message
                        self._note(call, message)
                raise ConnectionLostError(
                    "The server ended the stream without an answer."
                )
            for message in _readable(await self._door.body(told)):
                if message.method is UNSET:
                    return message
            raise self._door.refusal(told)

    def _note(self, call: Call, message: Envelope) -> None:
        if message.id is not UNSET:
            return  # the modern era has no requests of servers
        if message.method == "notifications/progress":
            self._flight.progress(message)
        else:
            call.note(
                wire.encode(Envelope(method=message.method, params=message.params))
            )

    async def _learn(self, request: Envelope) -> None:
        """Read the server's list of tools as far as the one that ``request`` calls."""
        fields = fields_of(request.params)
        name, meta = value_of(fields.get("name")), fields_of(fields.get("_meta", UNSET))
        params: dict[str, Raw] = {}
        self._marks.pop(str(name), None)
        for _ in range(PAGES):
            page = speech.request("tools/list", params, meta)
            call, onward = self._flight.begin(page, OURSELVES)
            try:
                answer = await self._exchange(call, onward)
            finally:
                self._flight.end(call)
            self._without_bad_tools("tools/list", answer)
            cursor = fields_of(answer.result).get("nextCursor")
            if name in self._marks or cursor is None:
                return
            params = {"cursor": cursor}

    def _without_bad_tools(self, method: str, answer: Envelope) -> Envelope:
        """Return a list of tools without those that cannot be called over HTTP, and remember what the others want."""
        if method != "tools/list" or b'"x-mcp-header"' not in bytes(
            b"" if answer.result is UNSET else answer.result
        ):
            return answer
        fields = fields_of(answer.result)
        kept = []
        for raw in items_of(fields.get("tools")):
            tool = fields_of(raw)
            name = str(value_of(tool.get("name")))
            try:
                self._remember(name, marks_of(value_of(tool.get("inputSchema"))))
            except BadMarkError as error:
                log.warning("tool_left_out", tool=name, reason=str(error))
            else:
                kept.append(raw)
        return Envelope(result=Raw(wire.encode({**fields, "tools": kept})))

    def _remember(self, name: str, marks: Marks) -> None:
        if len(self._marks) >= TOOLS_KEPT:
            self._marks.clear()
        self._marks[name] = marks


_CALL = "tools/call"


def _readable(body: bytes) -> list[Envelope]:
    try:
        return messages_in(body)
    except wire.WireError:
        return []
