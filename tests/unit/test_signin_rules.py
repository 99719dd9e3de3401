"""Signing in by a provider: what of its metadata, keys, tokens and claims is believed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from jwt.utils import base64url_encode

from appliance.core.groups import org_rules, role_rules
from appliance.core.oauth import is_safe_issuer
from appliance.signin import id_tokens
from appliance.signin.arrivals import arrival_of, is_whole
from appliance.signin.errors import (
    ProviderAwayError,
    TokenError,
    UnknownKeyIdError,
)
from appliance.signin.metadata import checked_metadata, key_for, keys_of, metadata_url
from appliance.signin.model import Client, Expected
from tests.fakes.homemade_issuer import HomemadeIssuer

ISSUER = "https://login.example.org/realms/team"
NOW = datetime.now(UTC)
EXPECTED = Expected(ISSUER, "mcp-host", "n-1", NOW)
FOUND: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


@pytest.fixture(scope="module", params=["RS256", "ES256", "EdDSA"])
def provider(request: pytest.FixtureRequest) -> HomemadeIssuer:
    return HomemadeIssuer(ISSUER, request.param)


@pytest.fixture(scope="module")
def rsa() -> HomemadeIssuer:
    return HomemadeIssuer(ISSUER, "RS256")


def token_of(
    issuer: HomemadeIssuer, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    # Made when it is read: this file may be loaded long before its tests run.
    times = {"iat": NOW.timestamp(), "exp": NOW.timestamp() + 600}
    said = {"sub": "248289761001", "nonce": "n-1", "gid": None, "scope": None} | times
    return issuer.token("mcp-host", {"typ": "JWT", **(header or {})}, **(said | claims))


def read(token: str, *issuers: HomemadeIssuer) -> dict[str, Any]:
    keys = keys_of({"keys": [issuer.jwk for issuer in issuers]})
    return dict(id_tokens.read(token, keys, EXPECTED))


# -- ID tokens


def test_a_good_token_is_read(provider: HomemadeIssuer) -> None:
    assert read(token_of(provider), provider)["sub"] == "248289761001"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "n-2"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"aud": "somebody-else"}, "somebody else"),
        ({"aud": ["mcp-host", "other"]}, "several"),
        ({"azp": "other"}, "made for somebody else"),
        ({"iss": f"{ISSUER}/"}, "another issuer"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"exp": NOW.timestamp() - 61}, "expired"),
        ({"exp": None}, "no exp"),
        ({"exp": True}, "no exp"),
        ({"iat": None}, "no iat"),
        ({"iat": NOW.timestamp() - 3600}, "too long ago"),
        ({"iat": NOW.timestamp() + 3600}, "future"),
        ({"nbf": NOW.timestamp() + 3600}, "not good yet"),
        ({"sub": None}, "who it is about"),
        ({"sub": ""}, "who it is about"),
        ({"sub": "x" * 256}, "who it is about"),
        ({"sub": "a\x00b"}, "no text"),
    ],
)
def test_claims_that_are_not_for_us_are_refused(
    rsa: HomemadeIssuer, claims: dict[str, Any], why: str
) -> None:
    with pytest.raises(TokenError, match=why):
        read(token_of(rsa, **claims), rsa)


def test_a_token_for_several_that_we_asked_for_is_good(rsa: HomemadeIssuer) -> None:
    token = token_of(rsa, aud=["mcp-host", "other"], azp="mcp-host")

    assert read(token, rsa)


@pytest.mark.parametrize("header", [{"typ": "at+jwt"}, {"crit": ["x"]}, {"typ": 5}])
def test_headers_of_other_things_are_refused(
    rsa: HomemadeIssuer, header: dict[str, Any]
) -> None:
    # PyJWT refuses to write some of these, so the header is put before by hand.
    _, payload, signature = token_of(rsa).split(".")
    head = base64url_encode(
        json.dumps({"alg": "RS256", "kid": rsa.kid, **header}).encode()
    )

    with pytest.raises(TokenError, match=r"no ID token|not known here"):
        read(f"{head.decode()}.{payload}.{signature}", rsa)


def test_no_signature_and_one_by_the_public_key_as_a_secret_are_refused(
    rsa: HomemadeIssuer,
) -> None:
    claims = {**rsa.claims("mcp-host", sub="1", nonce="n-1")}
    public = rsa.private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    none = jwt.encode(claims, "", algorithm="none", headers={"kid": rsa.kid})
    head = base64url_encode(json.dumps({"alg": "HS256", "kid": rsa.kid}).encode())
    body = base64url_encode(json.dumps(claims).encode())
    signed = jwt.get_algorithm_by_name("HS256").sign(head + b"." + body, public)
    shared = b".".join((head, body, base64url_encode(signed))).decode()

    for token in (none, shared):
        with pytest.raises(TokenError, match="rule that is not taken"):
            read(token, rsa)


def test_another_key_and_a_changed_payload_are_refused(rsa: HomemadeIssuer) -> None:
    other = HomemadeIssuer(ISSUER, "RS256")
    forged = token_of(other, header={"kid": rsa.kid})
    head, _, signature = token_of(rsa).split(".")
    changed = f"{head}.{token_of(rsa, sub='admin').split('.')[1]}.{signature}"

    for token in (forged, changed):
        with pytest.raises(TokenError, match="signature"):
            read(token, rsa)


def test_a_key_that_is_not_known_is_told_apart(rsa: HomemadeIssuer) -> None:
    other = HomemadeIssuer(ISSUER, "RS256")

    with pytest.raises(UnknownKeyIdError):
        read(token_of(other), rsa)
    assert read(token_of(other), rsa, other)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "." * 9, "é.é.é"])
def test_what_is_no_token_is_refused(rsa: HomemadeIssuer, token: str) -> None:
    with pytest.raises(TokenError):
        read(token, rsa)


def test_the_access_token_beside_it_must_be_its_own(rsa: HomemadeIssuer) -> None:
    # Of OpenID Connect Core, A.3.
    access, told = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"  # fmt: skip
    token = token_of(rsa, at_hash=told)
    claims = read(token, rsa)

    id_tokens.check_access_token(token, claims, access)
    with pytest.raises(TokenError, match="another one"):
        id_tokens.check_access_token(token, claims, "another")


# -- keys and metadata


def test_who_names_no_key_must_have_but_one(rsa: HomemadeIssuer) -> None:
    other = HomemadeIssuer(ISSUER, "RS256")
    header = {"alg": "RS256"}

    assert key_for(header, keys_of({"keys": [rsa.jwk]}))
    assert key_for(header, keys_of({"keys": [rsa.jwk, other.jwk]})) is None
    assert key_for({"alg": "ES256", "kid": rsa.kid}, keys_of({"keys": [rsa.jwk]})) is None  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda key: {**key, "use": "enc"},
        lambda key: {**key, "kty": "oct", "k": "c2VjcmV0"},
        lambda key: {**key, "n": "AQAB"},
        lambda key: {**key, "n": 5},
    ],
)
def test_keys_that_are_of_no_use_are_left_out(
    rsa: HomemadeIssuer, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    with pytest.raises(ProviderAwayError):
        keys_of({"keys": [change(rsa.jwk)]})


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": f"{ISSUER}/"},
        {"issuer": "https://evil.example"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://login.example.org/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": 5},
    ],
)
def test_metadata_of_another_or_without_tls_is_refused(changed: dict[str, Any]) -> None:
    assert checked_metadata(FOUND, ISSUER).jwks_uri == f"{ISSUER}/keys"
    with pytest.raises(ProviderAwayError):
        checked_metadata(FOUND | changed, ISSUER)


def test_where_metadata_is_and_which_issuers_are_safe() -> None:
    assert metadata_url("https://a.example/x/") == "https://a.example/x/.well-known/openid-configuration"  # fmt: skip
    assert is_safe_issuer("https://a.example/x")
    assert is_safe_issuer("http://127.0.0.1:9000")
    assert not is_safe_issuer("http://a.example/x")
    assert not is_safe_issuer("https://a.example/?x")


# -- claims


def client(**changed: Any) -> Client:
    found: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": "mcp-host",
        "secret": "",
        "scopes": "openid",
        "email_claim": "email",
        "group_claim": "groups",
        "trusts_email": False,
    }
    return Client(**(found | changed))


def test_what_the_id_token_says_goes_before_what_the_endpoint_tells() -> None:
    claims = {"sub": "1", "groups": ["ops"]}
    told = {"sub": "1", "groups": ["admins"], "email": "a@b.example", "email_verified": True}  # fmt: skip

    arrival = arrival_of(claims, told, client())

    assert not is_whole(claims, client())
    assert (arrival.email, arrival.is_verified) == ("a@b.example", True)
    assert arrival.groups == {"ops"}
    with pytest.raises(TokenError, match="somebody else"):
        arrival_of(claims, {**told, "sub": "2"}, client())


@pytest.mark.parametrize(
    ("said", "trusts", "verified"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"email_verified": True}, False, True),
        ({"email_verified": False}, True, False),
        ({"email_verified": 1}, False, False),
    ],
)
def test_an_address_counts_as_the_provider_says(
    said: dict[str, Any], *, trusts: bool, verified: bool
) -> None:
    claims = {"sub": "1", "email": "a@b.example", **said}

    assert arrival_of(claims, {}, client(trusts_email=trusts)).is_verified is verified


def test_groups_are_found_in_objects_and_never_half() -> None:
    nested = client(group_claim="realm_access.roles")
    claims = {"sub": "1", "realm_access": {"roles": ["a", 5, "b"]}}

    assert arrival_of(claims, {}, nested).groups == {"a", "b"}
    assert arrival_of({"sub": "1", "groups": "a"}, {}, client()).groups == {"a"}
    with pytest.raises(TokenError, match="more groups"):
        arrival_of({"sub": "1", "_claim_names": {"groups": "src1"}}, {}, client())


# -- settings


def test_groups_are_written_plainly_or_as_json() -> None:
    assert role_rules("ops=admin, my devs=member") == (("ops", "admin"), ("my devs", "member"))  # fmt: skip
    assert role_rules('{"cn=ops,dc=x": "admin"}') == (("cn=ops,dc=x", "admin"),)
    assert role_rules("") == ()
    assert org_rules("devs=acme:deployer") == (("devs", "acme", "deployer"),)
    for wrong in ("ops", "ops=king", "=admin", '{"a": 5}', "{"):
        with pytest.raises(ValueError, match=r"."):
            role_rules(wrong)
    for wrong in ("devs=acme", "devs=acme:admin", "devs=:owner"):
        with pytest.raises(ValueError, match=r"."):
            org_rules(wrong)
