"""What passes to and from a server of whose tools clients do not get all. Pure.

Bodies are written anew from what was read here, so that no server reads another tool's name in them than we did, and no client
another definition.
"""

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.screen import Screen, object_of, text_of

CALL = "tools/call"
LIST = "tools/list"


def checked_body(message: Envelope, screen: Screen) -> bytes:
    """Return ``message`` for the server.

    Raises:
        ToolRefusedError: It calls a tool that its client does not get.
    """
    if message.method != CALL:
        return wire.encode(message)
    fields = object_of(b"{}" if message.params is UNSET else bytes(message.params))
    if refusal := screen.refusal(text_of(fields.get("name"))):
        raise refusal
    onward = Envelope(id=message.id, method=CALL, params=Raw(wire.encode(fields)))
    return wire.encode(onward)


def may_list(events: bytes) -> bool:
    """Whether ``events`` may hold a list of tools. A JSON string can be spelled with escapes, so an escape is a mark too."""
    return events.find(b'"tools"') >= 0 or events.find(b"\\u00") >= 0


class Filter:
    """Takes out of answers what clients do not get to see.

    Args:
        screen: What they get.
    """

    def __init__(self, screen: Screen) -> None:
        """Have held nothing back yet."""
        self._screen = screen
        #: Fingerprints of definitions that were held back and that the hub does not know.
        self.unknown: set[str] = set()

    def answer(self, body: bytes, *, is_stream: bool) -> bytes:
        """Return an answer with the tools that clients get alone.

        Args:
            body: As the server sent it.
            is_stream: Whether it is a finished event stream instead of JSON.
        """
        if not is_stream:
            return self.message(body)
        text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return b"".join(
            self._event(event) for event in text.split(b"\n\n") if event.strip()
        )

    def message(self, body: bytes) -> bytes:
        """Return one message with the tools that clients get alone."""
        message = object_of(body)
        result = object_of(bytes(message.get("result", Raw(b"{}"))))
        if "tools" not in result:
            return wire.encode(message)
        try:
            tools = msgspec.json.decode(result["tools"], type=list[Raw])
        except msgspec.DecodeError:
            tools = []  # it is no list, so there is nothing that a client could read
        shown = self._screen.shown(tools)
        self.unknown |= shown.unknown
        result["tools"] = Raw(wire.encode(shown.tools))
        message["result"] = Raw(wire.encode(result))
        return wire.encode(message)

    def _event(self, event: bytes) -> bytes:
        lines = event.split(b"\n")
        data = b"\n".join(
            line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")
        )
        others = [line for line in lines if line and not line.startswith(b"data:")]
        shown = [b"data: " + self.message(data)] if data else []
        return b"\n".join([*others, *shown]) + b"\n\n"
