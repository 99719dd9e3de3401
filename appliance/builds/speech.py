"""How a server speaks, guessed from what its sources and its image show. Pure.

A guess is only kept where it differs from stdio: whoever knows better says so in the
server's configuration.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HTTP = "streamable-http"
SSE = "sse"

_SAYS_HTTP = re.compile(
    r"streamable[-_]?http|StreamableHTTP|http_app\(|transport\s*[=:]\s*[\"']http[\"']",
    re.IGNORECASE,
)
_SAYS_STDIO = re.compile(
    r"StdioServerTransport|stdio_server|run_stdio|[\"']stdio[\"']|transport-io|mcp\.run\(\s*\)"
    r"|ServeStdio|\bStdioTransport|transport::(?:io::)?stdio"
)
_SAYS_SSE = re.compile(
    r"SSEServerTransport|SseServerTransport|NewSSEServer|NewSSEHandler|SseServer::|sse_app\(|transport\s*[=:]\s*[\"']sse[\"']"
)
_PORT = re.compile(
    r"(?:\bport\b[\"']?\s*[:=]\s*|\.listen\(\s*|PORT\b[^\n]{0,24}?(?:\|\||\?\?|,)\s*[\"']?)(\d{4,5})\b",
    re.IGNORECASE,
)
#: What MCP servers listen on by custom, when an image names several ports.
_USUAL_PORTS = (8000, 3000, 8080, 3001, 8001, 5000)


def from_sources(
    texts: Iterable[str], *, exposed: Iterable[int] = ()
) -> dict[str, Any]:
    """Return ``transport`` and ``port`` for what the source files say; empty means stdio.

    Sources that know several are started over stdio as a rule, and HTTP by an argument; HTTP+SSE is spoken by those that
    know nothing else.
    """
    says_http = says_stdio = says_sse = False
    ports: set[int] = set()
    for text in texts:
        says_http = says_http or bool(_SAYS_HTTP.search(text))
        says_sse = says_sse or bool(_SAYS_SSE.search(text))
        says_stdio = says_stdio or bool(_SAYS_STDIO.search(text))
        ports.update(int(item) for item in _PORT.findall(text))
    from_image = usual_port(exposed)
    if says_stdio and not ((says_http or says_sse) and from_image):
        return {}
    if not says_http and not says_sse and from_image is None:
        return {}
    transport = SSE if says_sse and not says_http else HTTP
    port = from_image or (ports.pop() if len(ports) == 1 else None)
    return {"transport": transport} | ({"port": port} if port else {})


def from_image(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``transport`` and ``port`` for an image's configuration; an image that exposes nothing speaks stdio."""
    exposed = [
        int(item.partition("/")[0])
        for item in config.get("ExposedPorts") or {}
        if item.endswith("/tcp")
    ]
    port = usual_port(exposed)
    return {"transport": HTTP, "port": port} if port else {}


def usual_port(exposed: Iterable[int]) -> int | None:
    """Return the port that an MCP server most likely listens on."""
    ports = sorted(set(exposed))
    return next(
        (port for port in _USUAL_PORTS if port in ports), ports[0] if ports else None
    )
