"""Links that open a client and add the server there. Pure."""

import base64
import json
from urllib.parse import quote, urlencode

from appliance.web.connect.model import Endpoint


def cursor(endpoint: Endpoint) -> str:
    """Return Cursor's: the entry of ``mcp.json``, in Base64."""
    query = _named_base64(endpoint, {"url": endpoint.url, "headers": endpoint.headers})
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{query}"


def lm_studio(endpoint: Endpoint) -> str:
    """Return LM Studio's: the entry of ``mcp.json``, in Base64."""
    query = _named_base64(endpoint, {"url": endpoint.url, "headers": endpoint.headers})
    return f"lmstudio://add_mcp?{query}"


def vscode(endpoint: Endpoint) -> str:
    """Return VS Code's: the entry with its name, and the question for the key."""
    entry = {"name": endpoint.name, **vscode_server(endpoint)}
    if not endpoint.has_key:
        entry["inputs"] = [vscode_input(endpoint)]
    return f"vscode:mcp/install?{quote(_compact(entry), safe='')}"


def vscode_server(endpoint: Endpoint) -> dict[str, object]:
    """Return VS Code's entry; it asks for the key once and keeps it, unless the key is at hand."""
    key = endpoint.key if endpoint.has_key else f"${{input:{input_id(endpoint)}}}"
    headers = {"Authorization": f"Bearer {key}"}
    return {"type": "http", "url": endpoint.url, "headers": headers}


def vscode_input(endpoint: Endpoint) -> dict[str, object]:
    """Return the question that VS Code asks."""
    return {
        "type": "promptString",
        "id": input_id(endpoint),
        "description": f"Key of {endpoint.name}",
        "password": True,
    }


def input_id(endpoint: Endpoint) -> str:
    """Return the name under which VS Code keeps the key."""
    return f"{endpoint.name}-key"


def _named_base64(endpoint: Endpoint, entry: dict[str, object]) -> str:
    config = base64.b64encode(_compact(entry).encode()).decode()
    return urlencode({"name": endpoint.name, "config": config}, quote_via=quote)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
