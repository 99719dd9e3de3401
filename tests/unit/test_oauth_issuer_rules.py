"""What is taken from another authorization server."""

from typing import Any

import pytest

from appliance.oauth.issuer_rules import (
    IssuerError,
    checked_metadata,
    metadata_urls,
    usable_keys,
)
from tests.fakes.homemade_issuer import HomemadeIssuer

TEAM = "https://login.example.org/realms/team"
GOOD = {"issuer": TEAM, "jwks_uri": "https://login.example.org/keys"}
RSA = HomemadeIssuer(TEAM, "RS256")
EC = HomemadeIssuer(TEAM, "ES256")
ED = HomemadeIssuer(TEAM, "EdDSA")


def test_metadata_is_looked_for_where_mcp_has_clients_look() -> None:
    assert metadata_urls(TEAM) == [
        "https://login.example.org/.well-known/oauth-authorization-server/realms/team",
        "https://login.example.org/.well-known/openid-configuration/realms/team",
        "https://login.example.org/realms/team/.well-known/openid-configuration",
    ]
    assert metadata_urls("https://login.example.org/") == [
        "https://login.example.org/.well-known/oauth-authorization-server",
        "https://login.example.org/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([], "no JSON object"),
        (GOOD | {"issuer": TEAM + "/"}, "slashes included"),
        (GOOD | {"issuer": "https://evil.example"}, "evil.example"),
        (GOOD | {"jwks_uri": None}, "no jwks_uri"),
        (GOOD | {"jwks_uri": "file:///etc/passwd"}, "no jwks_uri"),
        (GOOD | {"jwks_uri": "http://login.example.org/keys"}, "without TLS"),
    ],
)
def test_metadata_of_somebody_else_is_not_taken(found: Any, reason: str) -> None:
    with pytest.raises(IssuerError, match=reason):
        checked_metadata(found, TEAM)


def test_metadata_of_the_issuer_is() -> None:
    assert checked_metadata(GOOD, TEAM) == GOOD


def test_public_keys_of_three_kinds_are_taken_and_nothing_else_of_them() -> None:
    published = [item.jwk | {"d": "secret", "x5c": ["…"]} for item in (RSA, EC, ED)]
    del published[0]["alg"]

    found = usable_keys({"keys": published})

    assert {kid: item[0] for kid, item in found.items()} == {
        RSA.kid: "RS256",
        EC.kid: "ES256",
        ED.kid: "EdDSA",
    }
    assert not any("d" in key or "x5c" in key for _, key in found.values())


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"alg": "HS256"},
        {"alg": "RSA-OAEP"},
        {"alg": "ES256"},
        {"kid": None},
        {"kid": ""},
        {"kid": "k" * 501},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"n": "AQAB"},
        {"n": None},
        {"crv": "P-256"},
    ],
)
def test_a_key_that_cannot_check_tokens_is_left_out(change: dict[str, Any]) -> None:
    with pytest.raises(IssuerError, match="no key"):
        usable_keys({"keys": [RSA.jwk | change]})


@pytest.mark.parametrize("found", [None, [], {}, {"keys": 5}, {"keys": ["x"]}])
def test_what_holds_no_keys_is_said_to(found: Any) -> None:
    with pytest.raises(IssuerError):
        usable_keys(found)
