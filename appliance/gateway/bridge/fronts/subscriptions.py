"""Subscriptions of the modern era: which changes a client hears of. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from appliance.gateway.protocol import wire
from appliance.gateway.protocol.modern import fields_of
from appliance.gateway.protocol.wire import Envelope

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
#: Resources that one subscription may name; further ones are not honoured.
RESOURCES_LIMIT = 1_000
_UPDATED = "notifications/resources/updated"


@dataclass(frozen=True)
class Subscription:
    """What one client listens to."""

    request_id: bytes
    #: The lists whose changes it hears of: ``tools``, ``prompts``, ``resources``.
    lists: frozenset[str]
    uris: tuple[str, ...] = ()

    @property
    def acknowledgement(self) -> bytes:
        """The first message of the stream: what of the wanted the server can tell."""
        granted: dict[str, Any] = {
            f"{kind}ListChanged": True for kind in sorted(self.lists)
        }
        if self.uris:
            granted["resourceSubscriptions"] = list(self.uris)
        params = {"notifications": granted, "_meta": self._meta}
        return wire.encode(
            Envelope(
                method="notifications/subscriptions/acknowledged",
                params=Raw(wire.encode(params)),
            )
        )

    @property
    def ending(self) -> bytes:
        """The last message of a stream that ends on our side."""
        result = {"resultType": "complete", "_meta": self._meta}
        return wire.result_body(self.request_id, wire.encode(result))

    def shown(self, body: bytes) -> bytes | None:
        """Return a notification as the client sees it; ``None``: it did not ask for it."""
        message = wire.decode_line(body)
        fields = fields_of(message.params)
        if not self._wants(str(message.method), fields):
            return None
        fields["_meta"] = Raw(wire.encode(self._meta))
        return wire.encode(
            Envelope(method=message.method, params=Raw(wire.encode(fields)))
        )

    def _wants(self, method: str, fields: Mapping[str, Raw]) -> bool:
        if method == _UPDATED:
            return wire.string_of(fields.get("uri", Raw(b'""'))) in self.uris
        kind = method.removeprefix("notifications/").removesuffix("/list_changed")
        return method.endswith("/list_changed") and kind in self.lists

    @property
    def _meta(self) -> dict[str, Any]:
        return {SUBSCRIPTION_ID: Raw(self.request_id)}


def honoured(
    request_id: bytes, wanted: Mapping[str, Any], opened: Mapping[str, Any]
) -> Subscription:
    """Return what of ``wanted`` a server that said ``opened`` can tell."""
    capabilities = opened.get("capabilities", {})
    lists = frozenset(
        kind
        for kind in ("tools", "prompts", "resources")
        if wanted.get(f"{kind}ListChanged") is True
        and _says(capabilities.get(kind), "listChanged")
    )
    named = wanted.get("resourceSubscriptions")
    uris: list[str] = []
    if isinstance(named, list) and _says(capabilities.get("resources"), "subscribe"):
        uris = [uri for uri in named if isinstance(uri, str)]
    return Subscription(request_id, lists, tuple(dict.fromkeys(uris))[:RESOURCES_LIMIT])


def _says(capability: object, name: str) -> bool:
    return isinstance(capability, Mapping) and capability.get(name) is True
