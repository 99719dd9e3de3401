"""Which headers cross the gateway. Pure.

Lists of what may pass, not of what may not: a header that nobody thought of stays outside. So credentials (``Authorization``,
``X-API-Key``, ``Cookie``), hop-by-hop headers and whatever a client might use to speak to the bridge as a worker never pass.
"""

from collections.abc import Iterable

_REQUEST = frozenset(
    {
        "accept",
        "accept-language",
        "content-type",
        "last-event-id",
        "traceparent",
        "tracestate",
        "baggage",
        "user-agent",
    }
)
_RESPONSE = frozenset(
    {
        "content-type",
        "content-language",
        "cache-control",
        "retry-after",
        "allow",
    }
)
_MCP = "mcp-"
_SESSION = "mcp-session-id"


def to_server(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what a server gets to see of a client's headers; the session id is added by whoever checked it."""
    return [pair for pair in headers if _passes(pair[0].lower(), _REQUEST)]


def to_client(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what a client gets to see of a server's headers; the session id is added by whoever signed it."""
    return [pair for pair in headers if _passes(pair[0].lower(), _RESPONSE)]


def _passes(name: str, listed: frozenset[str]) -> bool:
    return name in listed or (name.startswith(_MCP) and name != _SESSION)
