"""What a resource is, and who issues tokens for it."""

import pytest

from appliance.core.oauth import (
    Endpoint,
    Resource,
    authorization_server,
    issuer_of,
    origin_of,
    resource_of,
)

CLOCK = Resource("https://mcp.example.org", Endpoint("servers", "clock"))


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.example.org/servers/clock/mcp",
        "https://mcp.example.org/servers/clock/mcp/",
        "https://mcp.example.org/servers/clock/sse",
        "HTTPS://MCP.example.org:443/servers/clock/mcp",
    ],
)
def test_spellings_of_one_endpoint_are_one_resource(url: str) -> None:
    assert resource_of(url) == CLOCK


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.org/servers/clock/mcp",
        "https://mcp.example.org:8443/servers/clock/mcp",
        "https://evil.example/servers/clock/mcp",
        "https://mcp.example.org/servers/clocks/mcp",
        "https://mcp.example.org/bundles/clock/mcp",
        "https://mcp.example.org/team/servers/clock/mcp",
    ],
)
def test_another_endpoint_is_another_resource(url: str) -> None:
    assert resource_of(url) not in {CLOCK, None}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mcp.example.org/servers/clock/mcp",
        "ftp://mcp.example.org/servers/clock/mcp",
        "https://mcp.example.org",
        "https://mcp.example.org/servers/clock",
        "https://mcp.example.org/servers/clock/mcp//",
        "https://mcp.example.org/servers/clock/messages",
        "https://mcp.example.org/servers/Clock/mcp",
        "https://mcp.example.org/servers/clock/mcp?x=1",
        "https://mcp.example.org/servers/clock/mcp#x",
        "https://mcp.example.org/servers/cl%6fck/mcp",
        "https://user@mcp.example.org/servers/clock/mcp",
        "https://mcp.example.org:x/servers/clock/mcp",
        "https://mcp.example.org\\@evil.example/servers/clock/mcp",
        "https://mcp.example.org/servers/clock/mcp" + "/" * 3000,
    ],
)
def test_what_no_client_types_is_no_resource(url: str) -> None:
    assert resource_of(url) is None


def test_a_gateway_may_lie_under_a_path() -> None:
    found = resource_of("https://example.org/gw/servers/clock/mcp")

    assert found is not None
    assert found.origin == origin_of("https://Example.org/gw/")


@pytest.mark.parametrize(
    ("public_url", "scheme", "host", "issuer"),
    [
        (
            "https://mcp.example.org/",
            "http",
            "10.0.0.5:4444",
            "https://mcp.example.org",
        ),
        (None, "http", "10.0.0.5:4444", "http://10.0.0.5:3000"),
        (None, "http", "box", "http://box:3000"),
        (None, "http", "[::1]:4444", "http://[::1]:3000"),
    ],
)
def test_the_issuer_is_where_people_reach_the_hub(
    public_url: str | None, scheme: str, host: str, issuer: str
) -> None:
    assert issuer_of(public_url, scheme, host, 3000) == issuer


def test_the_metadata_names_registration_only_where_there_is_one() -> None:
    with_it = authorization_server("https://mcp.example.org", registers=True)
    without = authorization_server("https://mcp.example.org", registers=False)

    assert with_it["registration_endpoint"] == "https://mcp.example.org/oauth/register"
    assert "registration_endpoint" not in without
    assert without["code_challenge_methods_supported"] == ["S256"]
