"""What a person pastes into an MCP client to reach a server. Pure; the API and the pages show the same."""

import json
from dataclasses import dataclass
from typing import Any

#: Stands where the endpoint key goes: it is stored hashed, so nobody can fill it in later.
KEY_PLACEHOLDER = "YOUR_KEY"


@dataclass(frozen=True)
class ClientConfig:
    """One client's way of being told of a server."""

    client: str
    title: str
    #: Where the text goes: a file, or ``shell``.
    file: str
    #: ``json`` or ``shell``.
    language: str
    text: str


def client_configs(
    name: str, endpoint: str, key: str = KEY_PLACEHOLDER
) -> tuple[ClientConfig, ...]:
    """Return the snippets for ``endpoint``, the general one first.

    Args:
        key: The endpoint key when it is at hand (just created), else the placeholder.
    """
    headers = {"Authorization": f"Bearer {key}"}
    server = {"type": "http", "url": endpoint, "headers": headers}
    bridge = {
        "command": "npx",
        "args": [
            "-y",
            "mcp-remote",
            endpoint,
            "--header",
            f"Authorization: Bearer {key}",
        ],
    }
    return (
        _json("generic", "Any MCP client", "mcp.json", {"mcpServers": {name: server}}),
        ClientConfig("claude-code", "Claude Code", "shell", "shell", _claude_code(name, endpoint, key)),
        _json("vscode", "VS Code", ".vscode/mcp.json", {"servers": {name: server}}),
        _json("cursor", "Cursor", ".cursor/mcp.json", {"mcpServers": {name: server}}),
        _json("windsurf", "Windsurf", "mcp_config.json",
              {"mcpServers": {name: {"serverUrl": endpoint, "headers": headers}}}),
        _json("claude-desktop", "Claude Desktop", "claude_desktop_config.json", {"mcpServers": {name: bridge}}),
    )  # fmt: skip


def _json(client: str, title: str, file: str, content: dict[str, Any]) -> ClientConfig:
    return ClientConfig(client, title, file, "json", json.dumps(content, indent=2))


def _claude_code(name: str, endpoint: str, key: str) -> str:
    # Names are DNS labels, keys are URL-safe and endpoints hold no quotes: nothing here needs escaping.
    return f'claude mcp add --transport http {name} {endpoint} --header "Authorization: Bearer {key}"'
