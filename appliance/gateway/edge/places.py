"""Which endpoint a path names. Pure."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from appliance.gateway.names import Name

Door = Literal["mcp", "sse", "messages"]
#: On a name that leads to one server alone.
_SHORT_PATH = re.compile(r"/(?:(mcp)/?|(sse)|(messages))")
_PATH = re.compile(r"/(servers|bundles)/([a-z0-9-]{1,63})/(?:(mcp)/?|(sse)|(messages))")
#: HTTP+SSE of 2024-11-05 has a stream and a place to post to; streamable HTTP has one endpoint for everything.
METHODS: dict[Door, tuple[str, ...]] = {
    "mcp": ("DELETE", "GET", "POST"),
    "sse": ("GET",),
    "messages": ("POST",),
}


@dataclass(frozen=True, slots=True)
class Place:
    """An endpoint of a server or of a bundle."""

    name: str
    is_bundle: bool
    door: Door
    #: The name of its own under which a client came to it; empty: it was named by its path.
    host: str = ""

    @property
    def shown_base(self) -> str:
        """The path that all its doors share, as the client knows it."""
        return "" if self.host else self.base

    @property
    def base(self) -> str:
        """The path that all its doors share."""
        return f"/{'bundles' if self.is_bundle else 'servers'}/{self.name}"

    @property
    def path(self) -> str:
        """The path, as the bridge knows it."""
        return f"{self.base}/{self.door}"


def place_of(path: str) -> Place | None:
    """Return the endpoint at ``path``, or ``None`` if it is none."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    door = cast("Door", match[3] or match[4] or match[5])
    return Place(match[2], match[1] == "bundles", door)


def place_at(name: Name, path: str) -> Place | None:
    """Return the endpoint at ``path`` on a name that leads to one server alone, or ``None`` if it is none."""
    match = _SHORT_PATH.fullmatch(path)
    if match is None:
        return None
    door = cast("Door", match[1] or match[2] or match[3])
    return Place(name.server, is_bundle=False, door=door, host=name.host)
