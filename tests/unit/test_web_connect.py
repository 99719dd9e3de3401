"""Client snippets: what each client's documentation asks for, to the letter, and nothing that breaks out of it."""

import ast
import base64
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import json5
import pytest
import yaml

from appliance.core.errors import InvalidError
from appliance.web.connect import (
    KEY_PLACEHOLDER,
    ClientConfig,
    chosen,
    client_configs,
)

GOLDEN = Path(__file__).parent.parent / "fixtures" / "client_configs"
ENDPOINT = "https://mcp.example.org/servers/clock/mcp"
KEY = "mcps_k"
#: No server may be called so, and no key looks so; a snippet must hold all the same.
NASTY = "a'b\"c$(id)`id`\\ #{x}: é\x7f\n]"
ALL = client_configs("clock", ENDPOINT, KEY)
NAMES = [item.client for item in ALL]


def _config(client: str, configs: tuple[ClientConfig, ...] = ALL) -> ClientConfig:
    return chosen(configs, client)[0]


def _parsed(config: ClientConfig) -> Any:
    """Read a snippet as its client would."""
    match config.language:
        case "json":
            # These are read with comments and trailing commas allowed, which every reader of plain JSON must agree with.
            assert json5.loads(config.text) == json.loads(config.text)
            return json.loads(config.text)
        case "toml":
            return tomllib.loads(config.text)
        case "yaml":
            return yaml.safe_load(config.text)
        case "shell":
            return shlex.split(config.text)
        case "python":
            return ast.parse(config.text)
        case _:
            raise AssertionError(config.language)


@pytest.mark.parametrize("client", NAMES)
def test_a_snippet_is_the_golden_file_and_parses(client: str) -> None:
    config = _config(client)

    assert config.text == (GOLDEN / f"{client}.txt").read_text().rstrip("\n")
    assert _parsed(config)


def test_every_golden_file_belongs_to_a_client() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("client", NAMES)
def test_name_address_and_key_arrive_unharmed_whatever_they_hold(client: str) -> None:
    config = _config(client, client_configs(NASTY, ENDPOINT, NASTY))

    found = _leaves(_parsed(config))

    assert any(item == f"Bearer {NASTY}" or NASTY in item for item in found)
    assert any(ENDPOINT in item for item in found)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [
            leaf for pair in value.items() for item in pair for leaf in _leaves(item)
        ]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    if isinstance(value, ast.AST):
        return [
            node.value
            for node in ast.walk(value)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return [str(value)]


def test_a_shell_gets_one_word_for_each_value() -> None:
    config = _config("claude-code", client_configs("clock", ENDPOINT, "x'; rm -rf /"))

    assert shlex.split(config.text) == [
        "claude", "mcp", "add", "--transport", "http", "clock", ENDPOINT, "--header", "Authorization: Bearer x'; rm -rf /",
    ]  # fmt: skip


def test_without_a_key_every_snippet_says_where_it_goes() -> None:
    texts = {item.client: item.text for item in client_configs("clock", ENDPOINT)}

    asked = texts.pop("vscode")
    assert all(KEY_PLACEHOLDER in text for text in texts.values())
    # VS Code asks for it and keeps it, so the file holds none.
    assert KEY_PLACEHOLDER not in asked
    assert json.loads(asked) == {
        "servers": {
            "clock": {
                "type": "http",
                "url": ENDPOINT,
                "headers": {"Authorization": "Bearer ${input:clock-key}"},
            }
        },
        "inputs": [
            {
                "type": "promptString",
                "id": "clock-key",
                "description": "Key of clock",
                "password": True,
            }
        ],
    }


@pytest.mark.parametrize("client", ["cursor", "lm-studio"])
def test_a_link_carries_the_entry_of_the_file_in_base64(client: str) -> None:
    config = _config(client, client_configs(NASTY, ENDPOINT, KEY))

    query = parse_qs(urlsplit(config.link).query)

    assert query["name"] == [NASTY]
    entry = json.loads(base64.b64decode(query["config"][0]))
    assert entry == json.loads(config.text)["mcpServers"][NASTY]


def test_vscodes_link_carries_the_entry_and_the_question_for_the_key() -> None:
    link = _config("vscode", client_configs("clock", ENDPOINT)).link

    start, _, data = link.partition("?")

    assert start == "vscode:mcp/install"
    entry = json.loads(unquote(data))
    assert entry.pop("name") == "clock"
    assert entry.pop("inputs")[0]["id"] == "clock-key"
    assert entry["url"] == ENDPOINT


@pytest.mark.parametrize(
    ("endpoint", "says_so"),
    [
        ("http://10.0.0.4:4444/servers/clock/mcp", True),
        ("http://127.0.0.1:4444/servers/clock/mcp", False),
        ("http://localhost:4444/servers/clock/mcp", False),
        (ENDPOINT, False),
    ],
)
def test_mcp_remote_is_told_that_plain_http_is_meant(
    endpoint: str, *, says_so: bool
) -> None:
    config = _config("mcp-remote", client_configs("clock", endpoint))

    assert ("--allow-http" in shlex.split(config.text)) is says_so


def test_the_general_snippet_comes_first() -> None:
    assert NAMES[0] == "generic"


def test_a_client_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidError) as caught:
        chosen(ALL, "netscape")

    assert "vscode" in caught.value.fields["client"]
