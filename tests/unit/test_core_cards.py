"""Cards, catalogs and registry entries keep to their formats, whatever a server says of itself."""

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.cards import (
    REVISIONS,
    Listing,
    Site,
    catalog,
    server_card,
    server_json,
    site,
    version_of,
    well_known,
)
from appliance.gateway.protocol import wire

AT = Site("mcp.example.org", "https://mcp.example.org")
MANIFEST = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {
        "name": "clock-server",
        "title": "Clock",
        "version": "1.2.3",
        "description": "Tells the time.",
        "websiteUrl": "https://clock.example.org",
        "icons": [{"src": "https://clock.example.org/i.png", "mimeType": "image/png"}],
    },
    "capabilities": {"tools": {}},
}
CLOCK = Listing("clock", MANIFEST)

#: What the two formats have in common, as their schemas (server card v1, server.json 2025-12-11) say it.
TEXT = {"type": "string", "minLength": 1, "maxLength": 100}
INPUT = {
    "type": "object",
    "properties": {
        "description": {"type": "string"},
        "isRequired": {"type": "boolean"},
        "isSecret": {"type": "boolean"},
        "value": {"type": "string"},
    },
}
HEADER = {
    **INPUT,
    "required": ["name"],
    "properties": {
        **INPUT["properties"],  # type: ignore[dict-item]  # a dict of dicts
        "name": {"type": "string"},
        "variables": {"type": "object", "additionalProperties": INPUT},
    },
}
SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "remotes"],
    "properties": {
        "$schema": {
            "pattern": r"^https://static\.modelcontextprotocol\.io/schemas/(v1/server-card|2025-12-11/server)\.schema\.json$"
        },
        "name": {
            "type": "string",
            "minLength": 3,
            "maxLength": 200,
            "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$",
        },
        "description": TEXT,
        "title": TEXT,
        "version": {"type": "string", "minLength": 1, "maxLength": 255},
        "websiteUrl": {"type": "string", "pattern": "^https?://"},
        "icons": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["src"],
                "properties": {
                    "src": {
                        "type": "string",
                        "pattern": "^https://",
                        "maxLength": 255,
                    },
                    "mimeType": {
                        "enum": [
                            "image/png",
                            "image/jpeg",
                            "image/jpg",
                            "image/svg+xml",
                            "image/webp",
                        ]
                    },
                },
                "additionalProperties": False,
            },
        },
        "remotes": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "url"],
                "properties": {
                    "type": {"enum": ["streamable-http", "sse"]},
                    "url": {"type": "string", "pattern": r"^https?://[^\s]+$"},
                    "headers": {"type": "array", "items": HEADER},
                    "supportedProtocolVersions": {
                        "type": "array",
                        "items": {"type": "string"},
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
infos = st.dictionaries(
    st.sampled_from(
        ["name", "title", "version", "description", "websiteUrl", "icons", "x"]
    ),
    anything | st.just([{"src": "https://a/b"}, {"src": "http://a"}, {"src": 3}, None]),
)
manifests = st.fixed_dictionaries({"serverInfo": infos | anything}) | st.dictionaries(
    st.text(max_size=8), anything, max_size=3
)


@given(manifests)
def test_whatever_a_server_says_of_itself_its_card_keeps_to_the_format(
    manifest: dict[str, Any],
) -> None:
    listing = Listing("clock", manifest)

    jsonschema.validate(server_card(AT, listing), SHAPE)
    jsonschema.validate(server_json(AT, listing), SHAPE)
    assert well_known(AT, [listing]) is not None


def test_a_card_says_who_it_is_and_how_it_is_reached() -> None:
    card = server_card(AT, CLOCK)

    assert card["name"] == "org.example.mcp/clock"
    assert (card["title"], card["version"]) == ("Clock", "1.2.3")
    assert card["description"] == "Tells the time."
    assert card["websiteUrl"] == "https://clock.example.org"
    remote = card["remotes"][0]
    assert remote["url"] == "https://mcp.example.org/servers/clock/mcp"
    assert remote["headers"][0]["value"] == "Bearer {key}"
    assert remote["headers"][0]["isSecret"] is True


def test_a_card_names_every_revision_that_the_gateway_speaks() -> None:
    assert set(REVISIONS) == {*wire.MODERN_REVISIONS, *wire.LEGACY_REVISIONS}


def test_a_registry_entry_has_no_member_that_only_cards_have() -> None:
    assert "supportedProtocolVersions" not in server_json(AT, CLOCK)["remotes"][0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("1.2.3", "1.2.3"),
        ("2026.11.21+7", "2026.11.21+7"),
        ("^1.2.3", "0.0.0"),
        ("1.x", "0.0.0"),
        ("1.*", "0.0.0"),
        ("latest", "0.0.0"),
        ("", "0.0.0"),
        (7, "0.0.0"),
        (None, "0.0.0"),
    ],
)
def test_a_version_is_one_version(said: object, shown: str) -> None:
    assert version_of(Listing("clock", {"serverInfo": {"version": said}})) == shown


@pytest.mark.parametrize(
    ("public_url", "gateway_url", "namespace"),
    [
        ("https://mcp.example.org", "http://127.0.0.1:4444", "org.example.mcp"),
        (None, "https://gate.example.org:8443/", "org.example.gate"),
        (None, "http://127.0.0.1:4444", "localhost"),
        (None, "http://localhost:4444", "localhost"),
        (None, "http://10.0.0.4:4444", "10.0.0.4"),
        (None, "http://[fd00::1]:4444", "fd00--1"),
    ],
)
def test_names_start_with_the_domain_backwards(
    public_url: str | None, gateway_url: str, namespace: str
) -> None:
    at = site(public_url, gateway_url)

    assert at.namespace == namespace
    assert re.fullmatch("[a-zA-Z0-9.-]+", at.namespace)


def test_a_catalog_points_at_the_cards_of_its_servers() -> None:
    found = catalog(AT, [CLOCK, Listing("other")])

    assert found["specVersion"] == "1.0"
    assert [(item["identifier"], item["url"]) for item in found["entries"]] == [
        (
            "urn:air:mcp.example.org:mcp:clock",
            "https://mcp.example.org/servers/clock/mcp/server-card",
        ),
        (
            "urn:air:mcp.example.org:mcp:other",
            "https://mcp.example.org/servers/other/mcp/server-card",
        ),
    ]
    assert {item["type"] for item in found["entries"]} == {
        "application/mcp-server-card+json"
    }


def test_the_older_drafts_address_tells_of_none_of_one_or_of_several() -> None:
    one = well_known(AT, [CLOCK]) or {}
    several = well_known(AT, [CLOCK, Listing("other")]) or {}

    assert well_known(AT, []) is None
    assert one["serverInfo"]["name"] == "clock"
    assert one["transport"]["endpoint"].endswith("/servers/clock/mcp")
    assert one["authentication"] == {"required": True, "schemes": ["bearer"]}
    assert one["tools"] == ["dynamic"]
    assert "prompts" not in one
    assert [card["serverInfo"]["name"] for card in several["servers"]] == [
        "clock",
        "other",
    ]
