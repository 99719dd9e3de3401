"""What is answered on names that lead to one server each, beside the server's own endpoint."""

from http import HTTPStatus

from appliance.core.cards import CORS
from appliance.core.oauth import PROTECTED_RESOURCE
from appliance.gateway.http import messages as http
from appliance.gateway.http.requests import RequestHead
from appliance.gateway.names import Name, port_of
from appliance.gateway.protocol import wire

_READING = ("GET", "HEAD", "OPTIONS")


def elsewhere(host: str, head: RequestHead) -> str:
    """Return the address that a request names, on another name."""
    query = f"?{head.query_string}" if head.query_string else ""
    port = port_of(head.headers.get("Host", ""))
    return f"https://{host}{port}{head.path}{query}"


def page(name: Name, request: http.Request) -> http.Answer:
    """Tell those who look at a name in a browser what it is for; there is nothing else."""
    if request.path != "/":
        text = "There is nothing here. The endpoint is /mcp.\n"
        return http.text_answer(text, status=HTTPStatus.NOT_FOUND)
    if request.method not in _READING:
        text = "MCP is spoken at /mcp.\n"
        answer = http.text_answer(text, status=HTTPStatus.METHOD_NOT_ALLOWED)
        answer.headers["Allow"] = ", ".join(_READING)
        return answer
    origin = f"https://{name.host}{port_of(request.headers.get('Host', ''))}"
    welcome = {
        "mcp": f"{origin}/mcp",
        "authorization": f"{origin}{PROTECTED_RESOURCE}/mcp",
        "note": "An MCP server. Give the first address to an MCP client.",
    }
    return http.document(wire.encode(welcome), http.JSON, headers=CORS)
