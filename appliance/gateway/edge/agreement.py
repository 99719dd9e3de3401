"""What a request of the modern era says in headers must be what its body says. Pure.

Of direct calls alone: the bridge reads everything it passes on, and servers may be lazier than they should. Checked is what
a gateway may act upon; the rest is the server's to judge.
"""

from dataclasses import dataclass
from typing import Any, Literal

from multidict import CIMultiDict

from appliance.gateway.edge.reading import Message
from appliance.gateway.http.messages import VERSION_HEADER
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.header_values import header_value

Era = Literal["legacy", "modern"]
_ROUTING = (VERSION_HEADER, "Mcp-Method", "Mcp-Name")
_NAMED = {"tools/call", "prompts/get", "resources/read"}


class DisagreementError(Exception):
    """A request breaks a rule of the modern era.

    Args:
        rpc_code: Of the JSON-RPC error.
        message: What is wrong.
        data: For the error.
    """

    def __init__(
        self, rpc_code: int, message: str, data: dict[str, Any] | None = None
    ) -> None:
        """Keep the three."""
        super().__init__(message)
        self.rpc_code = rpc_code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class RoutingHeaders:
    """What the headers of a request say; ``None``: nothing."""

    version: str | None
    method: str | None
    name: str | None
    #: A header that is there twice.
    doubled: str | None

    @property
    def is_legacy(self) -> bool:
        """Whether an older revision is named, or none."""
        return self.version is None or self.version in wire.LEGACY_REVISIONS


def routing_headers(headers: CIMultiDict[str]) -> RoutingHeaders:
    """Return what ``headers`` say."""
    doubled = next(
        (name for name in _ROUTING if len(headers.getall(name, ())) > 1), None
    )
    version, method, name = (headers.get(item) for item in _ROUTING)
    return RoutingHeaders(version, method, header_value(name), doubled)


def era_of(said: RoutingHeaders, message: Message) -> Era:
    """Return whose rules hold for a message.

    Some clients of the modern era open with ``initialize`` nevertheless, under its header. They are let in, unless the message
    itself carries the modern envelope.

    Raises:
        DisagreementError: Header and body do not agree, or ask for a version that there is not.
    """
    params = message.params
    in_body = None if params is None or params.meta is None else params.meta.version
    if in_body is None:
        if message.method == "initialize" or said.version is None:
            return "legacy"
    elif said.version != in_body:
        raise _mismatch(f"{VERSION_HEADER} and params._meta do not agree.")
    era = era_of_version(said.version)
    if era == "modern":
        _agree(said, message)
    return era


def era_of_version(version: str | None) -> Era:
    """Return the era of a version; a client that names none is of the older one.

    Raises:
        DisagreementError: There is no such version.
    """
    if version is None:
        return "legacy"
    if version in wire.MODERN_REVISIONS:
        return "modern"
    if version in wire.LEGACY_REVISIONS:
        return "legacy"
    # Of the era in which every request names its version, and no more than the server's own discovery says.
    raise DisagreementError(
        wire.UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        {"supported": list(wire.MODERN_REVISIONS), "requested": version},
    )


def _agree(said: RoutingHeaders, message: Message) -> None:
    if said.doubled is not None:
        raise _mismatch(f"{said.doubled} appears more than once.")
    if said.method != message.method:
        raise _mismatch("Mcp-Method and the body's method do not agree.")
    if message.method in _NAMED and message.target() not in {"", said.name}:
        raise _mismatch("Mcp-Name and what the body names do not agree.")


def _mismatch(text: str) -> DisagreementError:
    return DisagreementError(wire.HEADER_MISMATCH, text)
