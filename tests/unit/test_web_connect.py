"""Client snippets: what each client's documentation asks for, to the letter."""

import json

from appliance.web.connect import KEY_PLACEHOLDER, client_configs

ENDPOINT = "https://mcp.example.org/servers/clock/mcp"
HEADERS = {"Authorization": "Bearer mcps_k"}


def _configs() -> dict[str, str]:
    return {
        item.client: item.text for item in client_configs("clock", ENDPOINT, "mcps_k")
    }


def test_json_clients_are_told_in_their_own_words() -> None:
    server = {"type": "http", "url": ENDPOINT, "headers": HEADERS}

    found = {
        name: json.loads(text)
        for name, text in _configs().items()
        if name != "claude-code"
    }

    assert found == {
        "generic": {"mcpServers": {"clock": server}},
        "vscode": {"servers": {"clock": server}},
        "cursor": {"mcpServers": {"clock": server}},
        "windsurf": {
            "mcpServers": {"clock": {"serverUrl": ENDPOINT, "headers": HEADERS}}
        },
        "claude-desktop": {
            "mcpServers": {
                "clock": {
                    "command": "npx",
                    "args": [
                        "-y",
                        "mcp-remote",
                        ENDPOINT,
                        "--header",
                        "Authorization: Bearer mcps_k",
                    ],
                }
            }
        },
    }


def test_claude_code_gets_one_command() -> None:
    assert _configs()["claude-code"] == (
        f'claude mcp add --transport http clock {ENDPOINT} --header "Authorization: Bearer mcps_k"'
    )


def test_without_a_key_every_snippet_shows_the_placeholder() -> None:
    texts = [item.text for item in client_configs("clock", ENDPOINT)]

    assert all(KEY_PLACEHOLDER in text for text in texts)


def test_the_general_snippet_comes_first() -> None:
    assert client_configs("clock", ENDPOINT)[0].client == "generic"
