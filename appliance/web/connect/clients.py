"""Every client whose way of being told of a server is known, one entry each. Pure.

Adding a client is adding an entry here and a golden file in ``tests/fixtures/client_configs``.
"""

from collections.abc import Callable

from appliance.web.connect import links
from appliance.web.connect.formats import as_json, as_toml_table, as_yaml, command
from appliance.web.connect.model import Client, Endpoint

Render = Callable[[Endpoint], str]


def _entry(
    root: str,
    url: str = "url",
    *,
    kind: str = "",
    extra: dict[str, object] | None = None,
) -> Render:
    """Return what renders ``{root: {name: {type, url, headers}}}`` with a client's own words."""

    def render(endpoint: Endpoint) -> str:
        server: dict[str, object] = {"type": kind} if kind else {}
        server |= {url: endpoint.url, "headers": endpoint.headers, **(extra or {})}
        return as_json({root: {endpoint.name: server}})

    return render


def _vscode(endpoint: Endpoint) -> str:
    content: dict[str, object] = {
        "servers": {endpoint.name: links.vscode_server(endpoint)}
    }
    if not endpoint.has_key:
        content["inputs"] = [links.vscode_input(endpoint)]
    return as_json(content)


def _claude_code(endpoint: Endpoint) -> str:
    header = f"Authorization: {endpoint.authorization}"
    return command(
        "claude", "mcp", "add", "--transport", "http", endpoint.name, endpoint.url, "--header", header
    )  # fmt: skip


def _mcp_remote_words(endpoint: Endpoint, header: str) -> list[str]:
    plain = ["--allow-http"] if endpoint.is_plain_http_elsewhere else []
    return ["-y", "mcp-remote", endpoint.url, "--header", header, *plain]


def _claude_desktop(endpoint: Endpoint) -> str:
    # On Windows an argument with a space in it arrives as two; a variable's value does not.
    server = {
        "command": "npx",
        "args": _mcp_remote_words(endpoint, "Authorization:${AUTHORIZATION}"),
        "env": {"AUTHORIZATION": endpoint.authorization},
    }
    return as_json({"mcpServers": {endpoint.name: server}})


def _mcp_remote(endpoint: Endpoint) -> str:
    header = f"Authorization: {endpoint.authorization}"
    return command("npx", *_mcp_remote_words(endpoint, header))


def _codex(endpoint: Endpoint) -> str:
    values = {"url": endpoint.url, "http_headers": endpoint.headers}
    return as_toml_table(["mcp_servers", endpoint.name], values)


def _opencode(endpoint: Endpoint) -> str:
    # Without "oauth", a refused key would make it look for an authorization server.
    server = {
        "type": "remote",
        "url": endpoint.url,
        "headers": endpoint.headers,
        "oauth": False,
    }
    return as_json({"mcp": {"servers": {endpoint.name: server}}})


def _goose(endpoint: Endpoint) -> str:
    extension = {
        "name": endpoint.name,
        "type": "streamable_http",
        "enabled": True,
        "uri": endpoint.url,
        "headers": endpoint.headers,
        "description": "",
        "timeout": 300,
    }
    return as_yaml({"extensions": {endpoint.name: extension}})


def _continue(endpoint: Endpoint) -> str:
    server = {
        "name": endpoint.name,
        "type": "streamable-http",
        "url": endpoint.url,
        "requestOptions": {"headers": endpoint.headers},
    }
    return as_yaml({"mcpServers": [server]})


def _curl(endpoint: Endpoint) -> str:
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "curl", "version": "1"},
        },
    }
    body = as_json(asked)
    return " \\\n  ".join(
        [
            command("curl", endpoint.url),
            command("-H", f"Authorization: {endpoint.authorization}"),
            command("-H", "Content-Type: application/json"),
            command("-H", "Accept: application/json, text/event-stream"),
            command("--data", body),
        ]
    )


def _python(endpoint: Endpoint) -> str:
    return f"""\
import asyncio

from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

URL = {_literal(endpoint.url)}
HEADERS = {{"Authorization": {_literal(endpoint.authorization)}}}


async def main() -> None:
    async with (
        create_mcp_http_client(headers=HEADERS) as http,
        Client(streamable_http_client(URL, http_client=http)) as client,
    ):
        for tool in (await client.list_tools()).tools:
            print(tool.name)


asyncio.run(main())"""


def _literal(text: str) -> str:
    return as_json(text).replace("\x7f", "\\x7f")  # JSON's texts are Python's


CLIENTS = (
    Client(
        "generic", "Any MCP client", "mcp.json", "json", _entry("mcpServers", kind="http")
    ),
    Client("claude-code", "Claude Code", "shell", "shell", _claude_code,
           note="Run it in the project's directory, or add --scope user for all projects."),
    Client("claude-code-file", "Claude Code, project file", ".mcp.json", "json", _entry("mcpServers", kind="http"),
           note="Claude Code also reads ${NAME} from its environment here, so that the key need not be in the file."),
    Client("claude-desktop", "Claude Desktop", "claude_desktop_config.json", "json", _claude_desktop,
           note="Claude Desktop starts programs only: npx must be installed. Settings, Developer, Edit Config opens the file."),
    Client("vscode", "VS Code", ".vscode/mcp.json", "json", _vscode, links.vscode,
           note="VS Code asks for the key once and keeps it. For all projects: command MCP: Open User Configuration."),
    Client("cursor", "Cursor", ".cursor/mcp.json", "json", _entry("mcpServers"), links.cursor,
           note="For all projects: ~/.cursor/mcp.json."),
    Client("windsurf", "Windsurf", "~/.codeium/windsurf/mcp_config.json", "json", _entry("mcpServers", "serverUrl")),
    Client("antigravity", "Antigravity", "~/.gemini/antigravity/mcp_config.json", "json", _entry("mcpServers", "serverUrl")),
    Client("gemini-cli", "Gemini CLI", "~/.gemini/settings.json", "json", _entry("mcpServers", "httpUrl"),
           note="For one project: .gemini/settings.json."),
    Client("cline", "Cline", "cline_mcp_settings.json", "json",
           _entry("mcpServers", kind="streamableHttp", extra={"disabled": False}),
           note="In Cline: MCP Servers, Configure opens the file."),
    Client("roo", "Roo Code", "mcp_settings.json", "json", _entry("mcpServers", kind="streamable-http"),
           note="Roo Code is no longer developed. For one project: .roo/mcp.json."),
    Client("zed", "Zed", "~/.config/zed/settings.json", "json", _entry("context_servers"),
           note="Zed's command zed: open settings opens the file on every system."),
    Client("opencode", "OpenCode", "opencode.json", "json", _opencode,
           note="In version 1, servers stand directly below mcp. For all projects: ~/.config/opencode/opencode.json."),
    Client("goose", "Goose", "~/.config/goose/config.yaml", "yaml", _goose,
           note="In Windows: %APPDATA%\\Block\\goose\\config\\config.yaml."),
    Client("codex", "Codex", "~/.codex/config.toml", "toml", _codex,
           note="Instead of http_headers, bearer_token_env_var can name a variable that holds the key."),
    Client("continue", "Continue", "~/.continue/config.yaml", "yaml", _continue),
    Client("amp", "Amp", "~/.config/amp/settings.json", "json", _entry("amp.mcpServers")),
    Client("lm-studio", "LM Studio", "~/.lmstudio/mcp.json", "json", _entry("mcpServers"), links.lm_studio,
           note="In LM Studio: Program, Install, Edit mcp.json opens the file."),
    Client("mcp-remote", "Any client that starts programs", "shell", "shell", _mcp_remote,
           note="mcp-remote speaks stdio to the client. npx must be installed."),
    Client("curl", "curl", "shell", "shell", _curl),
    Client("python", "Python SDK", "client.py", "python", _python, note="pip install mcp, version 2."),
)  # fmt: skip
