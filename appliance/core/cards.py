"""How a hosted server is described to those who look for servers: cards, catalogs and registry entries. Pure.

Drafts move, so each function names the one it follows. What a server says of itself comes from strangers: only known
members of the right type are taken over, cut to the length that the formats allow.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

CARD_TYPE = "application/mcp-server-card+json"
CATALOG_TYPE = "application/ai-catalog+json"
CATALOG_PATH = "/.well-known/ai-catalog.json"
#: The path of a card, after that of its endpoint.
CARD_SUFFIX = "/server-card"
CARD_SCHEMA = (
    "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
)
REGISTRY_SCHEMA = (
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
)
#: Every revision that the gateway speaks to clients, whatever the server behind it speaks.
REVISIONS = ("2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
#: Catalogs, cards and registry entries hold nothing of whoever asks, so any page may read them.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-API-Key, MCP-Protocol-Version",
    "Access-Control-Max-Age": "86400",
}
_MAX_TEXT = 100
_MAX_ICON_URL = 255
_MAX_ICONS = 8
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}")
_RANGE = re.compile(r"(^|\.)[xX](\.|$)|^latest$")
_ICON_TYPES = {"image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/webp"}
_LOCAL = "localhost"


@dataclass(frozen=True, slots=True)
class Site:
    """Whose servers they are, and where."""

    #: Host name under which the box is known, such as ``mcp.example.org``.
    domain: str
    #: Where clients reach the gateway, without a slash at the end.
    gateway_url: str

    @property
    def namespace(self) -> str:
        """The part of a server's name before the slash: the domain backwards, ``org.example.mcp``."""
        if _is_address(self.domain):
            return self.domain.replace(":", "-")
        return ".".join(reversed(self.domain.split(".")))


@dataclass(frozen=True, slots=True)
class Listing:
    """One endpoint that may be shown."""

    name: str
    #: What the server said when it was asked last; its lists are not needed.
    manifest: Mapping[str, Any] = field(default_factory=dict)
    #: ``servers`` or ``bundles``: where its endpoint is.
    kind: str = "servers"
    #: Its endpoint under a name of its own; empty: it has none.
    url: str = ""


def site(public_url: str | None, gateway_url: str) -> Site:
    """Return the box's own place.

    Args:
        public_url: Where people reach the box; ``None``: the gateway's host names it.
        gateway_url: Where clients reach the gateway.
    """
    host = urlsplit(public_url or gateway_url).hostname or _LOCAL
    is_local = host == _LOCAL or (_is_address(host) and ip_address(host).is_loopback)
    return Site(_LOCAL if is_local else host.strip("."), gateway_url.rstrip("/"))


def endpoint(at: Site, listing: Listing) -> str:
    """Return the URL that clients use."""
    return listing.url or f"{at.gateway_url}/{listing.kind}/{listing.name}/mcp"


def full_name(at: Site, listing: Listing) -> str:
    """Return ``org.example.mcp/clock``."""
    return f"{at.namespace}/{listing.name}"


def version_of(listing: Listing) -> str:
    """Return the version that the server gave itself; ``0.0.0`` where it gave none, or a range."""
    version = _info(listing).get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        return "0.0.0"
    return "0.0.0" if _RANGE.search(version) else version


def server_card(at: Site, listing: Listing) -> dict[str, Any]:
    """Return the server card of SEP-2127 (draft, schema v1)."""
    remote = _remote(at, listing) | {"supportedProtocolVersions": list(REVISIONS)}
    return {"$schema": CARD_SCHEMA, **_identity(at, listing), "remotes": [remote]}


def well_known_card(at: Site, listing: Listing) -> dict[str, Any]:
    """Return the card of SEP-2127 with what SEP-1649 had instead beside it, for readers of the older draft.

    The two give ``version`` different meanings; it is the server's, as SEP-2127 has it.
    """
    manifest = listing.manifest
    capabilities = _mapping(manifest.get("capabilities"))
    primitives = ("tools", "prompts", "resources")
    return {
        **server_card(at, listing),
        "protocolVersion": _text(manifest.get("protocolVersion"), REVISIONS[1]),
        "serverInfo": {
            "name": listing.name,
            "title": _title(listing),
            "version": version_of(listing),
        },
        "transport": {"type": "streamable-http", "endpoint": endpoint(at, listing)},
        "capabilities": capabilities,
        "authentication": {"required": True, "schemes": ["bearer"]},
        **{name: ["dynamic"] for name in primitives if name in capabilities},
    }


def well_known(at: Site, listings: Iterable[Listing]) -> dict[str, Any] | None:
    """Return what the addresses of SEP-1649 answer: one server's card, or all cards in a list; ``None`` without any.

    The draft knows one server an origin; ``servers`` is this box's own way of naming several.
    """
    cards = [well_known_card(at, listing) for listing in listings]
    if not cards:
        return None
    return cards[0] if len(cards) == 1 else {"servers": cards}


def catalog(at: Site, listings: Iterable[Listing]) -> dict[str, Any]:
    """Return the AI Catalog 1.0 that SEP-2127 refers to, one entry a server, each with its card's address."""
    return {
        "specVersion": "1.0",
        "host": {"displayName": at.domain},
        "entries": [
            {
                "identifier": f"urn:air:{at.domain}:mcp:{listing.name}",
                "displayName": _title(listing),
                "type": CARD_TYPE,
                "url": endpoint(at, listing) + CARD_SUFFIX,
            }
            for listing in listings
        ],
    }


def server_json(at: Site, listing: Listing) -> dict[str, Any]:
    """Return the ``server.json`` of the MCP registry, schema 2025-12-11."""
    remote = _remote(at, listing)
    return {"$schema": REGISTRY_SCHEMA, **_identity(at, listing), "remotes": [remote]}


def _identity(at: Site, listing: Listing) -> dict[str, Any]:
    info = _info(listing)
    found: dict[str, Any] = {
        "name": full_name(at, listing),
        "version": version_of(listing),
        "title": _title(listing),
        "description": _text(
            info.get("description"), f"{_title(listing)}, on {at.domain}"
        ),
    }
    website = info.get("websiteUrl")
    if isinstance(website, str) and _is_web_address(website):
        found["websiteUrl"] = website
    if icons := _icons(info.get("icons")):
        found["icons"] = icons
    return found


def _remote(at: Site, listing: Listing) -> dict[str, Any]:
    key = {
        "description": "The server's endpoint key, or an API key of the box.",
        "isRequired": True,
        "isSecret": True,
    }
    header = {
        "name": "Authorization",
        "description": "A key that opens the server.",
        "isRequired": True,
        "isSecret": True,
        "value": "Bearer {key}",
        "variables": {"key": key},
    }
    return {
        "type": "streamable-http",
        "url": endpoint(at, listing),
        "headers": [header],
    }


def _info(listing: Listing) -> Mapping[str, Any]:
    return _mapping(listing.manifest.get("serverInfo"))


def _title(listing: Listing) -> str:
    info = _info(listing)
    return _text(info.get("title"), _text(info.get("name"), listing.name))


def _icons(value: object) -> list[dict[str, Any]]:
    icons = value if isinstance(value, list) else []
    return [
        _icon(item)
        for item in icons[:_MAX_ICONS]
        if isinstance(item, dict)
        and isinstance(item.get("src"), str)
        and len(item["src"]) <= _MAX_ICON_URL
        and item["src"].startswith("https://")
        and _is_web_address(item["src"])
    ]


def _icon(item: dict[str, Any]) -> dict[str, Any]:
    mime_type = item.get("mimeType")
    return {"src": item["src"]} | (
        {"mimeType": mime_type} if mime_type in _ICON_TYPES else {}
    )


def _text(value: object, default: str) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return (text or default)[:_MAX_TEXT]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_web_address(text: str) -> bool:
    if not text.isascii() or any(letter.isspace() for letter in text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
