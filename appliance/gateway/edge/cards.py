"""Discovery on the gateway's origin: what is shown of servers to those who look for them.

Whoever shows no key sees the servers that are listed; whoever shows one sees those that it opens as well. A server that
is not shown is not there: the answer is that for a name which nobody uses.
"""

import hashlib
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from appliance.core import cards
from appliance.core.cards import Listing, Site
from appliance.gateway.edge.keys import Admission, Denial, admit
from appliance.gateway.http.messages import JSON
from appliance.gateway.names import first_names
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route, RoutingTable

_CARD = re.compile(r"/servers/([a-z0-9-]{1,63})/mcp/server-card")
#: The addresses of SEP-1649, the draft before, in its first and its last form.
WELL_KNOWN = frozenset({"/.well-known/mcp.json", "/.well-known/mcp/server-card.json"})
_METHODS = frozenset({"GET", "HEAD"})
_FOR_ALL = {"Cache-Control": "public, max-age=300"}
_FOR_ONE = {"Cache-Control": "private, no-store"}
_VARY = {"Vary": "Authorization, X-API-Key"}


@dataclass(frozen=True, slots=True)
class Document:
    """An answer, whatever carries it."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


class Discovery:
    """Answers for a gateway.

    Args:
        at: The box's own place.
        internal_key_hash: Of the hub's own key, which opens every server.
        https_port: With its colon, where the front door listens; empty: where https is.
    """

    def __init__(
        self, at: Site, internal_key_hash: bytes, https_port: str = ""
    ) -> None:
        """Keep them."""
        self._site = at
        self._https_port = https_port
        self._internal_key_hash = internal_key_hash

    def answers(self, path: str) -> bool:
        """Whether the path is one of discovery's."""
        return (
            path == cards.CATALOG_PATH
            or path in WELL_KNOWN
            or bool(_CARD.fullmatch(path))
        )

    def document(
        self,
        method: str,
        path: str,
        *,
        table: RoutingTable,
        key: str | None,
        known_tag: str | None,
        now: float,
    ) -> Document:
        """Return what is answered to a request for a path of discovery's.

        Args:
            method: Of the request.
            path: One for which ``answers`` says yes.
            table: The routes and keys of now.
            key: As presented; ``None``: none was.
            known_tag: ``If-None-Match``, if sent.
            now: Seconds since the epoch, for keys that expire.
        """
        if method == "OPTIONS":
            return Document(HTTPStatus.NO_CONTENT, headers=dict(cards.CORS))
        if method not in _METHODS:
            return _refusal(
                HTTPStatus.METHOD_NOT_ALLOWED, "Only GET.", {"Allow": "GET, HEAD"}
            )
        found = self._found(path, table, key, now)
        if isinstance(found, Document):
            return found
        content, content_type = found
        body = wire.encode(content)
        headers = {
            **cards.CORS,
            **(_FOR_ALL if key is None else _FOR_ONE),
            **_VARY,
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        }
        if known_tag == headers["ETag"]:
            return Document(HTTPStatus.NOT_MODIFIED, headers=headers)
        return Document(HTTPStatus.OK, body, content_type, headers)

    def _found(
        self, path: str, table: RoutingTable, key: str | None, now: float
    ) -> tuple[dict[str, Any], str] | Document:
        asked = _CARD.fullmatch(path)
        routes = [table.routes[asked[1]]] if asked and asked[1] in table.routes else []
        if not asked:
            routes = sorted(table.routes.values(), key=lambda route: route.name)
        if key is not None and self._is_unknown(table, key, now):
            return _refusal(
                HTTPStatus.UNAUTHORIZED,
                "The key is not known or has expired.",
                {"WWW-Authenticate": 'Bearer realm="mcp-host", error="invalid_token"'},
            )
        names = first_names(table.domains)
        urls = {
            server: f"https://{host}{self._https_port}/mcp"
            for server, host in names.items()
        }
        shown = [
            Listing(route.name, route.card, url=urls.get(route.name, ""))
            for route in routes
            if route.card and self._is_shown(route, table, key, now)
        ]
        if path == cards.CATALOG_PATH:
            return cards.catalog(self._site, shown), cards.CATALOG_TYPE
        if asked and shown:
            return cards.server_card(self._site, shown[0]), cards.CARD_TYPE
        if not asked and (content := cards.well_known(self._site, shown)) is not None:
            return content, JSON
        return _refusal(HTTPStatus.NOT_FOUND, "There is no server here to show.")

    def _is_unknown(self, table: RoutingTable, key: str, now: float) -> bool:
        answer = admit(table, self._internal_key_hash, key, "", at=now)
        return answer is Denial.UNKNOWN_KEY

    def _is_shown(
        self, route: Route, table: RoutingTable, key: str | None, now: float
    ) -> bool:
        if route.listed:
            return True
        answer = admit(table, self._internal_key_hash, key, route.name, at=now)
        return isinstance(answer, Admission)


def _refusal(
    status: HTTPStatus, text: str, headers: dict[str, str] | None = None
) -> Document:
    body = wire.encode({"error": text})
    return Document(status, body, headers={**cards.CORS, **_VARY, **(headers or {})})
