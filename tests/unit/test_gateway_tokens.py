"""Which access tokens the gateway takes, what they open, and where it sends whoever has none."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.ids import key_hash
from appliance.core.oauth import SCOPES
from appliance.gateway.config import OAuthConfig
from appliance.gateway.edge.address import Addresses
from appliance.gateway.edge.authority import Authority, concerns
from appliance.gateway.edge.keys import Admission, BadToken, Denial, admit
from appliance.gateway.edge.limits import limits_of
from appliance.gateway.edge.places import Place
from appliance.gateway.edge.scopes import ScopeError, narrowed_body, needed_for
from appliance.gateway.edge.tokens import KEPT, Tokens, is_token
from appliance.gateway.protocol.wire import WireError
from appliance.gateway.routes import Person, Route, RoutingTable, UserKey
from appliance.gateway.snapshot import Snapshot
from appliance.gateway.trust import TokenKey, Trust
from tests.fakes.homemade_issuer import HomemadeIssuer

HUB = "https://mcp.example.org"
GATEWAY = "https://gw.example.org"
CLOCK = f"{GATEWAY}/servers/clock/mcp"
OURS = HomemadeIssuer(HUB)
THEIRS = HomemadeIssuer("https://login.example.com/", "RS256")
HEADERS = {"Host": "gw.example.org"}
PLACE = Place("clock", is_bundle=False, door="mcp")


def trust(*issuers: tuple[HomemadeIssuer, str], **more: Any) -> Trust:
    keys = {
        item.kid: TokenKey(item.kid, named, item.alg, item.jwk)
        for item, named in issuers
    }
    return Trust(keys, **more)


def table(**more: Any) -> RoutingTable:
    route: dict[str, Any] = {"owner_id": 5, "status": "running", "status_reason": ""}
    return RoutingTable(
        routes={
            "clock": Route(server_id=1, name="clock", **route),
            "shared": Route(server_id=2, name="shared", org_id=3, **route),
        },
        bundles={"clock": Route(server_id=0, name="clock", bundle_id=9, **route)},
        endpoint_keys={},
        user_keys={},
        loaded_at=0.0,
        people={
            5: Person(),
            6: Person(org_ids=frozenset({3})),
            7: Person(every_server=True),
        },
        trust=trust((OURS, ""), **more),
    )


def authority(**config: Any) -> Authority:
    defaults: dict[str, Any] = {
        "public_url": HUB,
        "gateway_public_url": GATEWAY,
        "scopes": SCOPES,
    }
    said = OAuthConfig(**defaults | config)
    hosts = ("mcp.example.org", "gw.example.org")
    urls = said.gateway_public_url, said.public_url
    return Authority(said, Addresses(*urls, own_hosts=hosts, port=4444))


def answer(
    token: str,
    *,
    place: Place = PLACE,
    known: RoutingTable | None = None,
    headers: dict[str, str] | None = None,
    by: Authority | None = None,
) -> Admission | Denial | BadToken:
    return (by or authority()).admit(
        token,
        place,
        headers=headers or HEADERS,
        table=known or table(),
        at=time.time(),
    )


def why(found: object) -> str:
    assert isinstance(found, BadToken), found
    return found.why


def test_a_good_token_opens_the_endpoint_that_it_is_for() -> None:
    found = answer(OURS.token(CLOCK))

    assert isinstance(found, Admission)
    assert found.principal == "user:5"
    assert found.lacking == frozenset()
    assert found.expires_at == pytest.approx(time.time() + 610, abs=5)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "when it expires"),
        ({"exp": "tomorrow"}, "no time"),
        ({"exp": True}, "no time"),
        ({"nbf": time.time() + 3600}, "not good yet"),
        ({"iat": time.time() + 3600}, "not good yet"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": HUB + "/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": None}, "another endpoint"),
        ({"aud": GATEWAY}, "another endpoint"),
        ({"aud": f"{GATEWAY}/servers/other/mcp"}, "another endpoint"),
        ({"aud": f"{GATEWAY}/bundles/clock/mcp"}, "another endpoint"),
        ({"aud": "https://evil.example/servers/clock/mcp"}, "another endpoint"),
        ({"aud": "http://gw.example.org/servers/clock/mcp"}, "another endpoint"),
        ({"aud": 5}, "another endpoint"),
        ({"sub": None}, "whose it is"),
        ({"sub": "user:0"}, "whose it is"),
        ({"sub": "hub"}, "whose it is"),
        ({"sub": "server:1"}, "whose it is"),
        ({"sub": "client:m1"}, "whose it is"),
        ({"sub": "client:m\n1", "act_for": "user:5"}, "whose it is"),
        ({"gid": None}, "whose it is"),
        ({"gid": 7}, "revoked"),
    ],
)
def test_a_token_is_refused_for_what_it_says(
    claims: dict[str, Any], reason: str
) -> None:
    token = OURS.token(CLOCK, **claims)

    found = answer(token, known=table(revoked_grants=frozenset({7})))

    assert reason in why(found)


@pytest.mark.parametrize(
    "audience",
    [
        CLOCK,
        CLOCK + "/",
        f"{GATEWAY}/servers/clock/sse",
        "https://GW.example.org:443/servers/clock/mcp",
        ["https://elsewhere.example", CLOCK],
    ],
)
def test_spellings_of_the_endpoint_are_the_endpoint(audience: Any) -> None:
    assert isinstance(answer(OURS.token(audience)), Admission)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "JWT"}, "no access token"),
        ({"typ": "refresh+jwt"}, "no access token"),
        ({"kid": "nobody's"}, "not known"),
        ({"kid": 5}, "names no key"),
        ({"crit": ["b64"]}, "demands"),
    ],
)
def test_a_token_is_refused_for_its_header(header: dict[str, Any], reason: str) -> None:
    payload = OURS.claims(CLOCK)
    signed = {"typ": "at+jwt", "kid": OURS.kid, "alg": "ES256"} | header

    assert reason in why(answer(by_hand(signed, payload, sign_es256)))


def by_hand(header: dict[str, Any], payload: dict[str, Any], sign: Any) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(item).encode()).rstrip(b"=")
        for item in (header, payload)
    ]
    signature = base64.urlsafe_b64encode(sign(b".".join(parts))).rstrip(b"=")
    return b".".join([*parts, signature]).decode()


def sign_es256(text: bytes) -> bytes:
    return jwt.get_algorithm_by_name("ES256").sign(text, OURS.private)


def test_a_token_that_nobody_signed_is_refused() -> None:
    header = {"typ": "at+jwt", "kid": OURS.kid, "alg": "none"}

    found = answer(by_hand(header, OURS.claims(CLOCK), lambda _: b""))

    assert "rule that is not taken" in why(found)


@pytest.mark.parametrize("alg", ["HS256", "RS256", "ES384", "PS256"])
def test_a_public_key_is_no_secret(alg: str) -> None:
    public = json.dumps(OURS.jwk).encode()
    header = {"typ": "at+jwt", "kid": OURS.kid, "alg": alg}

    token = by_hand(
        header,
        OURS.claims(CLOCK),
        lambda text: hmac.new(public, text, hashlib.sha256).digest(),
    )

    assert "rule that is not taken" in why(answer(token))


def test_a_key_in_the_token_itself_is_not_looked_at() -> None:
    stranger = HomemadeIssuer(HUB)
    header = {"kid": OURS.kid, "jwk": stranger.jwk, "jku": "https://evil.example"}

    assert "signature" in why(answer(stranger.token(CLOCK, header)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
HEADER = st.fixed_dictionaries(
    {},
    optional={
        "alg": JSON | st.sampled_from(["ES256", "none"]),
        "typ": JSON | st.just("at+jwt"),
        "kid": JSON | st.just(OURS.kid),
        "crit": JSON,
    },
)
PAYLOAD = st.dictionaries(
    st.sampled_from(
        ["iss", "aud", "sub", "exp", "nbf", "iat", "gid", "scope", "scp", "act_for"]
    ),
    JSON,
)


@settings(deadline=None, max_examples=200)
@given(HEADER, PAYLOAD)
def test_whatever_a_token_says_there_is_an_answer(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    by_a_stranger = by_hand(header, claims, lambda _: b"x" * 64)
    signed = {"typ": "at+jwt", "kid": OURS.kid, "alg": "ES256"}
    ours = by_hand(signed, OURS.claims(CLOCK) | claims, sign_es256)

    assert isinstance(answer(by_a_stranger), BadToken)
    assert isinstance(answer(ours), Admission | BadToken | Denial)


@given(st.text())
def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert isinstance(answer(f"ey{text}"), BadToken)


def test_a_token_that_was_changed_is_refused() -> None:
    head, _, signature = OURS.token(CLOCK).split(".")
    claims = json.dumps(OURS.claims(CLOCK, sub="user:7")).encode()
    payload = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()

    assert "signature" in why(answer(f"{head}.{payload}.{signature}"))


@pytest.mark.parametrize(
    "text", ["ey..", "ey.%.%", "eyJ.eyJ.x", "ey" + "a" * 20000 + ".."]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    assert is_token(text)
    assert isinstance(answer(text), BadToken)


def test_bytes_that_are_no_text_are_neither_key_nor_token() -> None:
    assert isinstance(answer("ey\udcff.a.b"), BadToken)
    assert admit(table(), b"", "\udcff", "clock", at=0.0) is Denial.UNKNOWN_KEY


@pytest.mark.parametrize("key", ["mcph_abc.def.ghi", "mcps_x", "ey", "ey.x", ""])
def test_keys_are_no_tokens(key: str) -> None:
    assert not is_token(key)


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_keys_of_three_kinds_check_tokens(alg: str) -> None:
    issuer = HomemadeIssuer(HUB, alg)
    known = trust((issuer, ""))

    token = Tokens("", "email").read(issuer.token(CLOCK), known, time.time())

    assert token.principal == "user:5"


def test_whose_servers_a_token_opens_is_the_persons_own_affair() -> None:
    shared = Place("shared", is_bundle=False, door="mcp")
    audience = f"{GATEWAY}/servers/shared/mcp"

    opened = {
        sub: answer(OURS.token(audience, sub=sub), place=shared)
        for sub in ("user:5", "user:6", "user:7", "user:8")
    }

    assert {sub: isinstance(item, Admission) for sub, item in opened.items()} == {
        "user:5": False,
        "user:6": True,
        "user:7": True,
        "user:8": False,
    }
    assert opened["user:5"] is Denial.NOT_FOUND


def test_a_name_that_nobody_uses_is_answered_like_one_that_is_not_the_persons() -> None:
    nowhere = Place("nosuch", is_bundle=False, door="mcp")

    found = answer(OURS.token(f"{GATEWAY}/servers/nosuch/mcp"), place=nowhere)

    assert found is Denial.NOT_FOUND


def test_a_machine_is_bound_to_itself_and_opens_what_its_maker_may() -> None:
    found = answer(OURS.token(CLOCK, sub="client:m1", act_for="user:5"))

    assert isinstance(found, Admission)
    assert found.principal == "client:m1"
    assert answer(OURS.token(CLOCK, sub="client:m1", act_for="user:6")) is (
        Denial.NOT_FOUND
    )


def test_a_token_that_is_known_is_not_checked_twice_but_its_grant_is() -> None:
    by, token = authority(), OURS.token(CLOCK, gid=7)

    assert isinstance(answer(token, by=by), Admission)
    known = by._tokens._known
    first = next(iter(known.values()))
    assert isinstance(answer(token, by=by), Admission)
    assert next(iter(known.values())) is first
    revoked = table(revoked_grants=frozenset({7}))
    assert "revoked" in why(answer(token, by=by, known=revoked))


def test_a_known_token_ends_with_its_key() -> None:
    by, token = authority(), OURS.token(CLOCK)
    answer(token, by=by)
    without = RoutingTable({}, {}, {}, 0.0, trust=Trust())

    assert "not known" in why(answer(token, by=by, known=without))


def test_a_known_token_ends_with_its_time() -> None:
    tokens, known = Tokens("", "email"), trust((OURS, ""))
    token = OURS.token(CLOCK)
    tokens.read(token, known, time.time())

    with pytest.raises(Exception, match="expired"):
        tokens.read(token, known, time.time() + 620)


def test_few_tokens_are_remembered() -> None:
    tokens, known = Tokens("", "email"), trust((OURS, ""))
    one = tokens.read(OURS.token(CLOCK), known, time.time())
    for number in range(KEPT + 10):
        tokens._remember(number.to_bytes(4), one, time.time())

    assert len(tokens._known) <= KEPT


@pytest.mark.parametrize(
    ("scope", "lacking"),
    [
        ("mcp:read mcp:call", set()),
        ("mcp:read", {"mcp:call"}),
        ("mcp:call openid", {"mcp:read"}),
        ("", {"mcp:read", "mcp:call"}),
        (["mcp:read"], {"mcp:call"}),
    ],
)
def test_a_token_grants_the_scopes_that_it_names(scope: Any, lacking: set[str]) -> None:
    found = answer(OURS.token(CLOCK, scope=scope))

    assert isinstance(found, Admission)
    assert found.lacking == lacking


# -- another issuer


def foreign(**config: Any) -> Authority:
    return authority(issuer=THEIRS.issuer, scopes=config.pop("scopes", ()), **config)


def at_their_box(**more: Any) -> RoutingTable:
    addresses = {"ada@example.org": 5}
    found = trust((OURS, ""), (THEIRS, THEIRS.issuer), addresses=addresses, **more)
    plain = table()
    return RoutingTable(plain.routes, {}, {}, 0.0, people=plain.people, trust=found)


def their_token(audience: Any = CLOCK, **claims: Any) -> str:
    mine = {"sub": "0a1b", "gid": None, "email": "Ada@example.org"} | claims
    return THEIRS.token(audience, {"typ": "JWT"}, **mine)


def test_another_issuers_token_is_of_the_person_with_the_address() -> None:
    found = answer(their_token(), by=foreign(), known=at_their_box())

    assert isinstance(found, Admission)
    assert found.principal == "user:5"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"email": "eve@example.org"}, "nobody here"),
        ({"email": None}, "no claim email"),
        ({"email": ["ada@example.org"]}, "no claim email"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "false"}, "not verified"),
        ({"at_hash": "x"}, "no access token"),
        ({"typ": "ID"}, "no access token"),
        ({"typ": "Refresh"}, "no access token"),
        ({"iss": "https://login.example.com"}, "another issuer"),
        ({"aud": "account"}, "another endpoint"),
    ],
)
def test_another_issuers_token_is_refused_for_what_it_says(
    claims: dict[str, Any], reason: str
) -> None:
    token = their_token(**claims)

    assert reason in why(answer(token, by=foreign(), known=at_their_box()))


def test_the_claim_that_names_the_person_can_be_chosen() -> None:
    token = their_token(email=None, upn="ada@example.org")

    found = answer(token, by=foreign(user_claim="upn"), known=at_their_box())

    assert isinstance(found, Admission)


def test_our_own_tokens_open_nothing_where_another_issuer_is_set() -> None:
    found = answer(OURS.token(CLOCK), by=foreign(), known=at_their_box())

    assert "another issuer" in why(found)
    assert "another issuer" in why(answer(their_token(), known=at_their_box()))


def test_an_audience_by_setting_takes_the_place_of_the_endpoint() -> None:
    by = foreign(audience="api://mcp")

    good = answer(their_token("api://mcp"), by=by, known=at_their_box())
    bad = answer(their_token(CLOCK), by=by, known=at_their_box())

    assert isinstance(good, Admission)
    assert "something else" in why(bad)


def test_scopes_may_have_other_names_elsewhere() -> None:
    by = foreign(scopes=("api://mcp/tools.read", "api://mcp/tools.call"))

    found = answer(
        their_token(scope=None, scp="tools.read"), by=by, known=at_their_box()
    )

    assert isinstance(found, Admission)
    assert found.lacking == {"mcp:call"}


def test_another_boxs_token_is_not_good_under_a_name_that_a_stranger_gave() -> None:
    evil = "http://evil.example/servers/clock/mcp"
    headers = {"Host": "evil.example"}
    untold = foreign(public_url="", gateway_public_url="")

    for by in (foreign(), untold):
        found = answer(their_token(evil), by=by, known=at_their_box(), headers=headers)
        assert "another endpoint" in why(found)


# -- names


@pytest.mark.parametrize(
    ("headers", "resource"),
    [
        ({"Host": "gw.example.org"}, CLOCK),
        ({"Host": "127.0.0.1:4444"}, "http://127.0.0.1:4444/servers/clock/mcp"),
        ({"Host": "mcp.example.org"}, f"{HUB}/servers/clock/mcp"),
        ({"Host": "127.0.0.1:4444", "X-Forwarded-For": "10.0.0.1"}, CLOCK),
        ({}, CLOCK),
        ({"Host": 'x"y'}, CLOCK),
    ],
)
def test_the_resource_is_what_was_typed(headers: dict[str, str], resource: str) -> None:
    path = "/.well-known/oauth-protected-resource/servers/clock/mcp"

    document = authority().document(path, headers, table())

    assert document == {
        "resource": resource,
        "authorization_servers": [HUB],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["mcp:read", "mcp:call"],
    }


def test_a_box_that_was_told_no_name_goes_by_any() -> None:
    by = authority(public_url="", gateway_public_url="", hub_port=3000)
    headers = {"Host": "10.0.0.5:4444"}
    path = "/.well-known/oauth-protected-resource/bundles/clock/mcp/"
    issuer = HomemadeIssuer("http://10.0.0.5:3000")
    known = table()
    known.trust.keys[issuer.kid] = TokenKey(issuer.kid, "", issuer.alg, issuer.jwk)

    document = by.document(path, headers, known)

    assert document is not None
    assert document["resource"] == "http://10.0.0.5:4444/bundles/clock/mcp/"
    assert document["authorization_servers"] == ["http://10.0.0.5:3000"]
    token = issuer.token(document["resource"])
    place = Place("clock", is_bundle=True, door="mcp")
    found = by.admit(token, place, headers=headers, table=known, at=time.time())
    assert isinstance(found, Admission)
    assert found.route.bundle_id == 9


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/servers/clock/mcp",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/bundles/x/mcp",
        "/servers/clock/mcp/.well-known/openid-configuration",
    ],
)
def test_the_authorization_servers_metadata_is_where_clients_look(path: str) -> None:
    assert concerns(path)
    document = authority().document(path, HEADERS, table())

    assert document is not None
    assert document["issuer"] == HUB
    known = at_their_box(issuers={THEIRS.issuer: {"issuer": THEIRS.issuer}})
    assert foreign().document(path, HEADERS, known) == {"issuer": THEIRS.issuer}


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/servers/Clock/mcp",
        "/.well-known/oauth-protected-resource/servers/a/mcp/x",
        "/.well-known/oauth-authorization-server/else",
        "/.well-known/mcp.json",
    ],
)
def test_elsewhere_there_is_nothing(path: str) -> None:
    assert authority().document(path, HEADERS, table()) is None


def test_the_challenge_leads_to_the_metadata() -> None:
    by = authority()

    assert by.challenge(HEADERS, "/servers/clock/mcp/") == (
        'Bearer realm="mcp-host", '
        f'resource_metadata="{GATEWAY}/.well-known/oauth-protected-resource/servers/clock/mcp/", '
        'scope="mcp:read mcp:call"'
    )
    assert '/servers/clock/sse"' in by.challenge(HEADERS, "/servers/clock/messages")
    assert 'error="invalid_token"' in by.challenge(
        HEADERS, "/servers/clock/mcp", error="invalid_token"
    )


# -- scopes


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("initialize", set()),
        ("ping", set()),
        ("notifications/cancelled", set()),
        ("", set()),
        ("server/discover", set()),
        ("tools/list", {"mcp:read"}),
        ("resources/read", {"mcp:read"}),
        ("prompts/get", {"mcp:read"}),
        ("completion/complete", {"mcp:read"}),
        ("subscriptions/listen", {"mcp:read"}),
        ("tools/call", {"mcp:call"}),
        ("tasks/result", {"mcp:call"}),
        ("x/unheard-of", {"mcp:read", "mcp:call"}),
    ],
)
def test_each_method_needs_its_scope(method: str, needed: set[str]) -> None:
    assert needed_for(method) == needed


CALL = frozenset({"mcp:call"})


def test_a_message_is_written_anew_from_what_was_read() -> None:
    """So that ``method`` that comes twice is for the server what it was for us."""
    doubled = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list"}'

    onward = narrowed_body(doubled, CALL)

    assert onward.count(b"method") == 1
    assert b"tools/list" in onward


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools\\/call"}',
        b'{"method":"tools/list","method":"tools/call"}',
    ],
)
def test_a_call_without_its_scope_is_refused(body: bytes) -> None:
    with pytest.raises(ScopeError) as refused:
        narrowed_body(body, CALL)

    assert refused.value.needed == CALL


def test_who_is_narrowed_sends_no_batches() -> None:
    with pytest.raises(WireError):
        narrowed_body(b'[{"jsonrpc":"2.0","id":1,"method":"tools/call"}]', CALL)


@pytest.mark.parametrize(
    ("scope", "place", "lacking"),
    [
        (None, "clock", set()),
        ({}, "clock", set()),
        ({"actions": ["see", "call"]}, "clock", set()),
        ({"actions": ["see"]}, "clock", {"mcp:call"}),
        ({"actions": ["call"]}, "clock", set()),
        ({"actions": ["deploy"]}, "clock", None),
        ({"actions": []}, "clock", None),
        ({"servers": [1]}, "clock", set()),
        ({"servers": [2]}, "clock", None),
        ({"servers": []}, "clock", None),
        ({"servers": [1]}, "bundle", None),
        ({"actions": ["see"], "servers": [1]}, "clock", {"mcp:call"}),
    ],
)
def test_a_key_opens_what_it_is_narrowed_to(
    scope: Any, place: str, lacking: set[str] | None
) -> None:
    known = table()
    known.user_keys[key_hash("key")] = UserKey(5, None, key_id=4, scope=scope)

    found = admit(known, b"", "key", "clock", at=0.0, is_bundle=place == "bundle")

    assert (found.lacking if isinstance(found, Admission) else None) == lacking
    assert isinstance(found, Admission) or found is Denial.NOT_FOUND


def test_a_client_is_limited_like_a_key_without_limits_of_its_own() -> None:
    found = answer(OURS.token(CLOCK))
    assert isinstance(found, Admission)

    (limit,) = limits_of(found, {"calls_per_second": 3.0})

    assert limit.subject == "token:user:5:inspector"
    assert limit.calls_per_second == 3.0


def test_trust_outlives_a_worker() -> None:
    known = table(revoked_grants=frozenset({7}), addresses={"a@x": 5})
    snapshot = Snapshot()

    snapshot.save(known)

    assert snapshot.load() == known
