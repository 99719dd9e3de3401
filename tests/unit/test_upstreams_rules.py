"""Where one signs in at a remote server, what is asked there, and what of the answers counts."""

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from appliance.core.challenges import Challenge, read_challenge
from appliance.core.upstreams import Token, Wish, account_of, file_name
from appliance.upstreams import asking, metadata
from appliance.upstreams.errors import (
    DiscoveryError,
    NoClientError,
    SigninRefusedError,
    TokenRefusedError,
)
from appliance.upstreams.model import (
    AuthMethod,
    AuthorizationServer,
    Client,
    ClientKind,
    Offer,
    Place,
    Resource,
)
from appliance.upstreams.plans import Plan

ENDPOINT = "https://mcp.example.org/tenant/mcp"
ISSUER = "https://id.example.org/tenant"
SERVER = AuthorizationServer(
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/authorize?keep=1",
    token_endpoint=f"{ISSUER}/token",
    registration_endpoint=f"{ISSUER}/register",
)
OFFER = Offer(Resource(ENDPOINT, ISSUER), SERVER)
PLACE = Place("https://hub.example.org")
CLIENT = Client(ClientKind.GIVEN, "us", AuthMethod.NONE)
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "code_challenge_methods_supported": ["S256"],
}


# -- challenges


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bearer", Challenge()),
        ('Basic realm="x"', None),
        ("", None),
        (
            'Bearer resource_metadata="https://a/b", scope="one two one"',
            Challenge("https://a/b", ("one", "two")),
        ),
        ('Basic realm="a, Bearer", bearer scope=x', Challenge(scope=("x",))),
        (
            'Bearer error="insufficient_scope", error_description="say \\"please\\"", DPoP algs="ES256"',
            Challenge(error="insufficient_scope", description='say "please"'),
        ),
    ],
)
def test_a_challenge_is_read_whatever_stands_around_it(
    text: str, found: Challenge | None
) -> None:
    assert read_challenge(text) == found


@given(st.text())
def test_no_challenge_breaks_the_reader(text: str) -> None:
    read_challenge(text)
    read_challenge(f"Bearer {text}")


# -- places


def test_metadata_is_looked_for_in_the_order_of_the_protocol() -> None:
    named = Challenge(resource_metadata="https://elsewhere.example.org/x")

    assert metadata.resource_places(ENDPOINT, named) == [named.resource_metadata]
    assert metadata.resource_places(ENDPOINT, None) == [
        "https://mcp.example.org/.well-known/oauth-protected-resource/tenant/mcp",
        "https://mcp.example.org/.well-known/oauth-protected-resource",
    ]
    assert metadata.server_places(ISSUER) == [
        "https://id.example.org/.well-known/oauth-authorization-server/tenant",
        "https://id.example.org/.well-known/openid-configuration/tenant",
        "https://id.example.org/tenant/.well-known/openid-configuration",
    ]
    assert metadata.server_places("https://id.example.org/") == [
        "https://id.example.org/.well-known/oauth-authorization-server",
        "https://id.example.org/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    ("resource", "is_covered"),
    [
        (ENDPOINT, True),
        ("https://mcp.example.org", True),
        ("https://MCP.example.org:443/tenant/", True),
        ("https://mcp.example.org/ten", False),
        ("https://mcp.example.org/tenant/mcp/more", False),
        ("https://evil.example.org/tenant/mcp", False),
        ("http://mcp.example.org/tenant/mcp", False),
        ("https://mcp.example.org/tenant?x=1", False),
        ("", False),
    ],
)
def test_a_token_is_asked_for_the_server_or_what_it_lies_below(
    resource: str, *, is_covered: bool
) -> None:
    document = {"resource": resource, "authorization_servers": [ISSUER]}

    if is_covered:
        assert metadata.read_resource(ENDPOINT, document).resource == resource
    else:
        with pytest.raises(DiscoveryError):
            metadata.read_resource(ENDPOINT, document)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": f"{ISSUER}/"},
        {"issuer": "https://evil.example.org"},
        {"token_endpoint": 5},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": None},
    ],
)
def test_an_authorization_server_that_is_another_or_knows_no_pkce_is_refused(
    change: dict[str, Any],
) -> None:
    metadata.read_server(ISSUER, DOCUMENT)

    with pytest.raises(DiscoveryError):
        metadata.read_server(ISSUER, DOCUMENT | change)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"resource": ENDPOINT}])
def test_metadata_that_is_none_is_refused(document: object) -> None:
    with pytest.raises(DiscoveryError):
        metadata.read_resource(ENDPOINT, document)
    with pytest.raises(DiscoveryError):
        metadata.read_server(ISSUER, document)


def test_secrets_go_through_tls_alone() -> None:
    assert metadata.is_safe("https://a.example.org/x", may_be_plain=False)
    assert not metadata.is_safe("http://a.example.org/x", may_be_plain=False)
    assert metadata.is_safe("http://127.0.0.1/x", may_be_plain=True)
    assert not metadata.is_safe("https://u:p@a.example.org/x", may_be_plain=True)
    assert not metadata.is_safe("javascript:alert(1)", may_be_plain=True)


# -- scopes


def test_scopes_are_the_challenges_else_the_resources_else_none() -> None:
    knows = replace(OFFER, resource=Resource(ENDPOINT, ISSUER, ("a", "b")))

    assert asking.scopes_for(OFFER) == ()
    assert asking.scopes_for(knows) == ("a", "b")
    assert asking.scopes_for(replace(knows, scope=("c",))) == ("c",)


def test_what_an_account_had_stays_and_what_it_lacked_is_added() -> None:
    asked = asking.scopes_for(
        replace(OFFER, scope=("c",)), had=("a",), wanted=("b", "c")
    )

    assert set(asked) == {"a", "b", "c"}


def test_offline_access_is_asked_for_where_it_is_known() -> None:
    offline = replace(OFFER, server=replace(SERVER, scopes=("a", "offline_access")))

    assert asking.scopes_for(replace(offline, scope=("a",))) == ("a", "offline_access")
    assert asking.scopes_for(replace(OFFER, scope=("a",))) == ("a",)


# -- clients


def test_a_given_client_goes_before_the_document_and_that_before_registration() -> None:
    takes = replace(SERVER, takes_documents=True)
    plain = Place("http://127.0.0.1:3000")

    assert asking.client_without_asking(takes, PLACE, given=CLIENT) == CLIENT
    found = asking.client_without_asking(takes, PLACE, given=None)
    assert found is not None
    assert found.client_id == "https://hub.example.org/client-metadata.json"
    assert asking.document(PLACE)["client_id"] == found.client_id
    assert asking.document(PLACE)["redirect_uris"] == [PLACE.redirect_uri]
    assert asking.client_without_asking(SERVER, PLACE, given=None) is None
    assert asking.client_without_asking(takes, plain, given=None) is None


@pytest.mark.parametrize(
    ("methods", "chosen"),
    [
        ((), AuthMethod.BASIC),
        (("client_secret_post", "none"), AuthMethod.POST),
        (("none",), AuthMethod.NONE),
    ],
)
def test_a_registration_asks_for_what_the_server_takes(
    methods: tuple[str, ...], chosen: AuthMethod
) -> None:
    server = replace(SERVER, auth_methods=methods)

    assert asking.registration(server, PLACE)["token_endpoint_auth_method"] == chosen
    answer = {"client_id": "c", "client_secret": "s"}
    assert asking.registered(answer, server).auth_method in {chosen, AuthMethod.NONE}


def test_a_server_that_registers_nobody_says_what_to_do() -> None:
    with pytest.raises(NoClientError) as found:
        asking.registration(replace(SERVER, registration_endpoint=""), PLACE)
    assert "by hand" in found.value.reason
    with pytest.raises(NoClientError):
        asking.registration(replace(SERVER, auth_methods=("tls_client_auth",)), PLACE)
    with pytest.raises(NoClientError):
        asking.registered({"client_id": 5}, SERVER)


def test_a_secret_is_shown_in_one_place_alone() -> None:
    secret = SecretStr("p@ss word")
    basic = Client(ClientKind.GIVEN, "a:b", AuthMethod.BASIC, secret)

    form, headers = asking.token_request(basic, {"x": "y"})
    assert base64.b64decode(headers["Authorization"][6:]) == b"a%3Ab:p%40ss+word"
    assert "client_secret" not in form
    form, headers = asking.token_request(
        replace(basic, auth_method=AuthMethod.POST), {"x": "y"}
    )
    assert form["client_secret"] == "p@ss word"
    assert "Authorization" not in headers
    assert "p@ss" not in repr(basic)


# -- there and back


def test_the_way_there_says_all_that_binds_the_answer_to_it() -> None:
    verifier = asking.verifier_of(b"k" * 32, "state-1")

    url = asking.authorization_url(
        OFFER, CLIENT, PLACE, state="state-1", verifier=verifier, scopes=("a", "b")
    )

    asked = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    assert asked["keep"] == "1"
    assert asked["resource"] == ENDPOINT
    assert asked["redirect_uri"] == PLACE.redirect_uri
    assert (asked["code_challenge_method"], asked["scope"]) == ("S256", "a b")
    assert verifier not in url
    assert verifier != asking.verifier_of(b"k" * 32, "state-2")
    assert 43 <= len(verifier) <= 128


@pytest.mark.parametrize(
    ("says_iss", "iss", "is_taken"),
    [
        (False, None, True),
        (False, ISSUER, True),
        (False, "https://evil.example.org", False),
        (True, None, False),
        (True, ISSUER, True),
        (True, f"{ISSUER}/", False),
        (True, "HTTPS://id.example.org/tenant", False),
    ],
)
def test_an_answer_counts_only_from_where_the_sign_in_began(
    iss: str | None, *, says_iss: bool, is_taken: bool
) -> None:
    server = replace(SERVER, says_iss=says_iss)
    answer = {"code": "c"} | ({} if iss is None else {"iss": iss})

    if is_taken:
        assert asking.code_in(answer, server) == "c"
    else:
        with pytest.raises(SigninRefusedError):
            asking.code_in(answer, server)


def test_a_refusal_is_told_in_the_other_sides_words_unless_it_is_another_side() -> None:
    refusal = {"error": "access_denied", "error_description": "Not today."}

    with pytest.raises(SigninRefusedError, match="Not today"):
        asking.code_in(refusal, SERVER)
    with pytest.raises(SigninRefusedError) as found:
        asking.code_in(refusal | {"iss": "https://evil.example.org"}, SERVER)
    assert "Not today" not in found.value.reason
    with pytest.raises(SigninRefusedError):
        asking.code_in({}, SERVER)


# -- tokens


def test_tokens_are_taken_as_they_are_given() -> None:
    given = {
        "access_token": "a",
        "token_type": "bearer",
        "expires_in": "60",
        "refresh_token": "r",
        "scope": "x y",
    }

    found = asking.tokens_in(200, given)

    assert (found.expires_in, found.scopes) == (60.0, ("x", "y"))
    assert "access_token" not in repr(found)
    assert found.access.get_secret_value() == "a"
    bare = asking.tokens_in(200, {"access_token": "a", "token_type": "Bearer"})
    assert (bare.refresh, bare.expires_in, bare.scopes) == (None, None, None)


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [
        ({"error": "invalid_grant"}, True),
        ({"error": "invalid_client"}, True),
        ({"error": "temporarily_unavailable"}, False),
        (None, False),
        ({"access_token": ""}, False),
    ],
)
def test_what_is_no_token_is_refused_for_good_or_for_now(
    answer: object, *, is_final: bool
) -> None:
    with pytest.raises(TokenRefusedError) as found:
        asking.tokens_in(400, answer)

    assert found.value.is_final is is_final


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "a", "token_type": "DPoP"},
        {"access_token": "a\r\nX: y", "token_type": "Bearer"},
        {"access_token": "ä", "token_type": "Bearer"},
    ],
)
def test_a_token_that_cannot_be_shown_is_not_kept(answer: object) -> None:
    with pytest.raises(DiscoveryError):
        asking.tokens_in(200, answer)


# -- what is handed on


def test_a_plan_is_read_as_it_was_written_and_has_no_secret() -> None:
    client = Client(
        ClientKind.REGISTERED, "c", AuthMethod.BASIC, SecretStr("do not tell")
    )
    plan = Plan(PLACE, replace(OFFER, scope=()), client, ("a",))

    written = plan.as_dict()

    assert "do not tell" not in str(written)
    assert Plan.from_dict(written) == replace(plan, client=replace(client, secret=None))
    assert "do not tell" not in str(plan.terms())


def test_accounts_are_apart_and_their_tokens_are_not_told() -> None:
    assert account_of("each", "user:5") == "user:5"
    assert account_of("shared", "user:5") == account_of("shared", "server:1")
    assert file_name(1, "user:5") != file_name(1, "user:6") != file_name(16, "user:5")
    token = Token("very secret", 1.5, 2)
    assert Token.from_json(token.to_json()) == token
    assert "very secret" not in repr(token)
    wish = Wish(1, "user:5", 2, "a b")
    assert Wish.from_json(wish.to_json()) == wish
    for nonsense in ("", "[]", "{}", '{"server_id": "x"}'):
        with pytest.raises(ValueError, match=r"."):
            Wish.from_json(nonsense)
