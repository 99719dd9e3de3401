"""PKCE, redirects, scopes, resources, documents and registrations: what is taken and what is not."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from appliance.core.ids import key_hash
from appliance.oauth import (
    documents,
    pkce,
    redirects,
    registration,
    resources,
    scopes,
)
from appliance.oauth.credentials import (
    Credentials,
    check_secret,
    checked_assertion,
)
from appliance.oauth.errors import OAuthError
from appliance.oauth.keys import public_jwk
from appliance.oauth.model import AuthMethod, Client, ClientKind
from appliance.sources.resolving import PublicResolver

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ID = "https://client.example.org/app.json"
DOCUMENT = {
    "client_id": ID,
    "client_name": "App",
    "redirect_uris": ["http://localhost/callback"],
}


# -- PKCE


def test_the_verifier_of_the_specification_proves_its_challenge() -> None:
    # RFC 7636, appendix B
    pkce.verify(
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    )


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, "ä" * 43, "b" * 43])
def test_another_verifier_proves_nothing(verifier: str) -> None:
    with pytest.raises(OAuthError):
        pkce.verify(verifier, pkce.challenge_of("a" * 43))


@pytest.mark.parametrize(
    ("challenge", "method"),
    [
        ("", ""),
        ("", "S256"),
        ("a" * 43, ""),
        ("a" * 43, "plain"),
        ("a" * 43, "s256"),
        ("a" * 42, "S256"),
        ("a" * 44, "S256"),
        ("=" * 43, "S256"),
    ],
)
def test_there_is_no_way_around_s256(challenge: str, method: str) -> None:
    with pytest.raises(OAuthError):
        pkce.checked_challenge(challenge, method)


# -- redirects


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example.org/callback",
        "https://client.example.org:8443/callback?tenant=1",
        "http://localhost:6274/oauth/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:3000/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "com.example.app:/callback",
    ],
)
def test_addresses_of_clients_are_taken(uri: str) -> None:
    assert redirects.checked(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "callback",
        "//client.example.org/",
        "http://client.example.org/callback",
        "http://localhost.example.org/callback",
        "http://127.0.0.2/callback",
        "https:///callback",
        "https://client.example.org/callback#token",
        "https://user@client.example.org/callback",
        "https://client.example.org\\@evil.example/",
        "https://client.example.org/\r\nSet-Cookie: a=b",
        "https://client.example.org;script-src/",
        "https://*.example.org/callback",
        "https://client.example.org:port/",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "about:blank",
        "x" * 3000,
    ],
)
def test_addresses_that_lead_astray_are_refused(uri: str) -> None:
    with pytest.raises(OAuthError):
        redirects.checked(uri)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("https://a.example/cb", "https://a.example/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
        ("http://localhost:1/cb?x=1", "http://localhost:2/cb?x=1"),
        ("http://[::1]/cb", "http://[::1]:8080/cb"),
        ("app:/cb", "app:/cb"),
    ],
)
def test_the_same_address_or_another_port_of_loopback_matches(
    registered: str, asked: str
) -> None:
    assert redirects.matches([registered], asked)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("https://a.example/cb", "https://a.example/cb/"),
        ("https://a.example/cb", "https://a.example/cb?x"),
        ("https://a.example/cb", "https://a.example:443/cb"),
        ("https://a.example/cb", "https://A.example/cb"),
        ("https://a.example/cb", "http://a.example/cb"),
        ("https://a.example/cb", "https://a.example/%63b"),
        ("https://localhost/cb", "https://localhost:2/cb"),
        ("http://localhost/cb", "http://127.0.0.1/cb"),
        ("http://localhost/cb", "http://localhost:1@evil.example/cb"),
        ("http://localhost/cb", "http://x@localhost:1/cb"),
        ("http://localhost/cb", "http://localhost:1/cb/../x"),
        ("http://localhost/cb", "https://localhost/cb"),
        ("http://localhost/cb", "http://localhost.evil.example/cb"),
        ("app:/cb", "app:/cb2"),
    ],
)
def test_anything_else_does_not(registered: str, asked: str) -> None:
    assert not redirects.matches([registered], asked)


def test_an_answer_goes_behind_what_the_client_has_there() -> None:
    answer = {"code": "a b", "state": "", "iss": "https://hub"}

    plain = redirects.with_answer("app:/cb", answer)
    own = redirects.with_answer("https://a.example/cb?x=%20", answer)

    assert plain == "app:/cb?code=a+b&iss=https%3A%2F%2Fhub"
    assert own == "https://a.example/cb?x=%20&code=a+b&iss=https%3A%2F%2Fhub"


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("https://a.example/cb", ("a.example", False, "https://a.example")),
        ("http://localhost:1/cb", ("localhost:1", True, "http://localhost:1")),
        ("http://[::1]:1/cb", ("[::1]:1", True, "http:")),
        ("cursor://x/cb", ("cursor:", True, "cursor:")),
    ],
)
def test_a_person_is_told_where_they_go(
    uri: str, target: tuple[str, bool, str]
) -> None:
    assert redirects.target_of(uri) == redirects.Target(*target)


# -- scopes and resources


def test_scopes_are_what_is_known_of_them() -> None:
    assert scopes.asked("") == ("mcp:read", "mcp:call")
    assert scopes.asked("mcp:call offline_access") == ("mcp:call",)
    assert scopes.asked("", ("mcp:read",)) == ("mcp:read",)
    assert scopes.narrowed(("mcp:read", "mcp:call"), "mcp:read") == ("mcp:read",)
    assert scopes.narrowed(("mcp:read",), "") == ("mcp:read",)


def test_no_scope_comes_from_nowhere() -> None:
    with pytest.raises(OAuthError):
        scopes.asked("admin")
    with pytest.raises(OAuthError):
        scopes.asked("mcp:call", ("mcp:read",))
    with pytest.raises(OAuthError):
        scopes.narrowed(("mcp:read",), "mcp:read mcp:call")


def test_a_public_gateway_is_the_only_place_of_resources() -> None:
    only = resources.origins(
        gateway_url="https://mcp.example.org/",
        hub_url="https://hub.example.org",
        gateway_port=4444,
        hosts=("hub.example.org",),
    )

    assert only == {"https://mcp.example.org"}
    resources.checked("https://MCP.example.org/servers/clock/mcp", only)
    for url in ("http://127.0.0.1:4444/servers/clock/mcp", "", "https://mcp.example.org/servers/clock"):  # fmt: skip
        with pytest.raises(OAuthError):
            resources.checked(url, only)


def test_without_one_the_box_is_found_under_the_names_that_it_is_reached_by() -> None:
    found = resources.origins(
        gateway_url=None, hub_url=None, gateway_port=4444, hosts=("box.lan", "")
    )

    assert "http://box.lan:4444" in found
    assert "http://localhost:4444" in found
    assert "http://evil.example:4444" not in found


# -- documents


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/c",
        "https://a.example",
        "https://a.example/",
        "https://a.example/c#x",
        "https://u@a.example/c",
        "https://a.example/./c",
        "https://a.example/b/%2E%2e/c",
        "HTTPS://a.example/c",
        "https://a.example/c d",
        "https:///c",
        "https://a.example:x/c",
        f"https://a.example/{'c' * 2000}",
    ],
)
def test_an_id_has_one_spelling(url: str) -> None:
    with pytest.raises(OAuthError):
        documents.checked_url(url)


def test_a_document_says_who_a_client_is() -> None:
    made = documents.client_of(ID, DOCUMENT, fresh_until=NOW)

    assert (made.kind, made.name) == (ClientKind.DOCUMENT, "App")
    assert made.grant_types == ("authorization_code", "refresh_token")
    assert made.auth_method is AuthMethod.NONE


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": f"{ID}/"},
        {"client_name": None},
        {"client_name": " \u202e\x00 "},
        {"redirect_uris": "http://localhost/"},
        {"redirect_uris": ["http://localhost/"] * 21},
        {"redirect_uris": ["javascript:x"]},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"client_secret": ""},
        {"jwks": {"keys": [{"kty": "oct", "k": "x"}]}},
        {"jwks": {"keys": []}},
        {"grant_types": ["implicit"]},
    ],
)
def test_a_document_that_lacks_something_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(OAuthError):
        documents.client_of(ID, {**DOCUMENT, **changed}, fresh_until=NOW)


def test_a_name_cannot_turn_the_page_around() -> None:
    assert documents.clean_name("App\u202e\n  gpj") == "App gpj"
    assert len(documents.clean_name("x" * 500)) == documents.MAX_NAME


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 3600),
        ("max-age=7200", 7200),
        ("public, Max-Age=60", 300),
        ("max-age=999999999", 86400),
        ("no-store, max-age=9000", 300),
        ("x-max-age=60", 3600),
    ],
)
def test_documents_are_kept_as_their_server_says_within_bounds(
    header: str, seconds: int
) -> None:
    assert documents.lasts(header) == timedelta(seconds=seconds)


async def test_a_name_that_leads_to_this_box_is_not_resolved() -> None:
    resolver = PublicResolver()

    with pytest.raises(OSError, match="neighbours"):
        await resolver.resolve("localhost", 443)

    await resolver.close()


# -- registration


def test_what_registers_itself_gets_what_it_may_have() -> None:
    made = registration.client_of(
        "id",
        {
            "redirect_uris": ["http://localhost:1/cb"],
            "grant_types": ["authorization_code", "implicit"],
            "scope": "everything",
        },
    )

    assert made.name == registration.UNNAMED
    assert made.grant_types == ("authorization_code",)
    assert made.auth_method is AuthMethod.BASIC


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": [1]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://a.example/"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ],
)
def test_what_wants_too_much_is_not_registered(
    changed: dict[str, Any], error: str
) -> None:
    with pytest.raises(OAuthError) as refusal:
        registration.client_of("id", {"redirect_uris": ["app:/cb"], **changed})

    assert refusal.value.error == error


# -- credentials


def _client(method: AuthMethod, **changed: Any) -> Client:
    return Client(ID, ClientKind.MACHINE, "nightly", auth_method=method, **changed)


def test_a_secret_that_was_exchanged_goes_on_for_a_while() -> None:
    client = _client(
        AuthMethod.BASIC,
        secret_hash=key_hash("new"),
        old_secret_hash=key_hash("old"),
        old_secret_until=NOW,
    )
    old = Credentials(ID, AuthMethod.POST, secret="old")

    check_secret(client, Credentials(ID, AuthMethod.BASIC, secret="new"), NOW)
    check_secret(client, old, NOW - timedelta(seconds=1))
    with pytest.raises(OAuthError):
        check_secret(client, old, NOW)


def test_a_client_with_a_secret_does_not_come_without() -> None:
    client = _client(AuthMethod.BASIC, secret_hash=key_hash("s"))

    with pytest.raises(OAuthError):
        check_secret(client, Credentials(ID), NOW)
    with pytest.raises(OAuthError):
        check_secret(_client(AuthMethod.PRIVATE_KEY), Credentials(ID), NOW)


def _assertion(private: Any, **changed: Any) -> str:
    now = datetime.now(UTC)
    claims = {
        "iss": ID,
        "sub": ID,
        "aud": "https://hub.example.org",
        "exp": now + timedelta(minutes=5),
        "jti": secrets.token_hex(4),
        **changed,
    }
    held = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(held, private, algorithm="ES256", headers={"kid": "a"})


def test_what_a_client_signed_shows_who_it_is_once_and_for_us() -> None:
    private = generate_private_key(SECP256R1())
    jwk = {**public_jwk(private.public_key()), "kid": "a"}
    client = _client(AuthMethod.PRIVATE_KEY, jwks={"keys": [jwk]})
    ours = ("https://hub.example.org",)
    now = datetime.now(UTC)

    good = checked_assertion(client, _assertion(private, jti="1"), ours, now)
    same = checked_assertion(client, _assertion(private, jti="1"), ours, now)
    assert good.jti_hash == same.jti_hash

    wrong = [
        _assertion(generate_private_key(SECP256R1())),
        _assertion(private, aud="https://other.example.org"),
        _assertion(private, sub="https://other.example.org"),
        _assertion(private, iss="https://other.example.org"),
        _assertion(private, jti=None),
        _assertion(private, exp=None),
        _assertion(private, exp=now - timedelta(hours=1)),
        _assertion(private, exp=now + timedelta(hours=1)),
        jwt.encode({"iss": ID, "sub": ID}, "", algorithm="none"),
        "no token",
    ]
    for assertion in wrong:
        with pytest.raises(OAuthError):
            checked_assertion(client, assertion, ours, now)
