"""Signing in by a provider, over real HTTP: the way through, and the doors that a hostile answer finds shut."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import jwt
import pytest
import pytest_asyncio
from aiohttp import hdrs
from aiohttp.test_utils import TestServer
from jwt.utils import base64url_encode

from appliance.accounts.model import SYSTEM, NewKey, Principal, Role, SignedIn
from appliance.accounts.opening import open_session
from appliance.accounts.store import find_user
from appliance.infra.database import Database
from appliance.oauth.pkce import challenge_of
from appliance.signin.errors import ProviderAwayError, SignInFailedError
from appliance.signin.flow import Answer
from appliance.signin.room import make_sign_in
from tests.cluster import ThrowAwayCluster
from tests.fakes.homemade_issuer import HomemadeIssuer
from tests.fakes.homemade_provider import (
    CLIENT,
    SECRET,
    HomemadeProvider,
    homemade_provider,
)
from tests.functional.hub import Hub as ServedHub
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import PASSWORD, Hub, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
SESSION = "mcp_host_session"
MEMBER = "SELECT m.role FROM org_members m JOIN users u ON u.id = m.user_id WHERE u.email = %s"


@dataclass
class Site:
    """A hub and its provider; ada is its administrator, with a password."""

    hub: Hub
    provider: HomemadeProvider
    #: The browser's, of the way that it is on.
    kept: dict[str, str] = field(default_factory=dict)

    async def leave(self, wanted: str = "/servers") -> dict[str, str]:
        """Go to the provider; return what it is asked."""
        self.hub.client.session.cookie_jar.clear()
        answer = await self.hub.client.get("/login/oidc", params={"next": wanted}, allow_redirects=False)  # fmt: skip
        assert answer.status == HTTPStatus.SEE_OTHER, await answer.text()
        return self.asked(answer)

    def asked(self, answer: aiohttp.ClientResponse) -> dict[str, str]:
        self.kept = {name: item.value for name, item in answer.cookies.items()}
        return dict(parse_qsl(urlsplit(answer.headers[hdrs.LOCATION]).query))

    async def come_back(
        self, asked: dict[str, str], **changed: str | None
    ) -> aiohttp.ClientResponse:
        """Come back with a code, or with whatever is said in its place."""
        query = {
            "state": asked["state"],
            "iss": self.provider.url,
            "code": self.provider.code(asked["nonce"]),
            **changed,
        }
        return await self.hub.client.get(
            "/login/oidc/callback",
            params={name: value for name, value in query.items() if value is not None},
            headers={"Accept": "text/html"},
            allow_redirects=False,
        )

    async def sign_in(self) -> aiohttp.ClientResponse:
        """Go the whole way as whoever the provider says."""
        return await self.come_back(await self.leave())

    async def rows(self, query: str, *values: Any) -> list[Any]:
        database = self.hub.database
        return await database.run(
            lambda: list(database.peewee.execute_sql(query, values).fetchall())
        )

    async def role(self, email: str) -> str:
        return str((await self.rows("SELECT role FROM users WHERE email = %s", email))[0][0])  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(
    cluster: ThrowAwayCluster, migrated_template: str
) -> AsyncIterator[Database]:
    cluster.execute(f"CREATE DATABASE test_signin TEMPLATE {migrated_template}")
    found = Database(cluster.url("test_signin"), size=4)
    yield found
    await asyncio.to_thread(found.close)


def settings_of(provider: HomemadeProvider, directory: Path) -> dict[str, Any]:
    return {
        "data_dir": directory / "data",
        "oidc_issuer": provider.url,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_name": "Example Org",
        "oidc_create_people": True,
        "oidc_roles": "ops=admin, audit=reader",
        "oidc_orgs": "devs=acme:deployer",
        "oidc_logout": True,
        "password_sign_in": False,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    directory = tmp_path_factory.mktemp("signin")
    async with homemade_provider() as provider:
        settings = settings_of(provider, directory)
        async with hub(database, **settings) as running:
            ada = await running.sign_in()
            await running.services.orgs.create(ada, "acme")
            yield Site(running, provider)


@pytest.fixture(autouse=True)
def _an_honest_provider(site: Site) -> None:
    site.provider.make, site.provider.told, site.provider.is_away = None, {}, False
    site.provider.person("bob")


def is_in(answer: aiohttp.ClientResponse) -> bool:
    return SESSION in answer.cookies and bool(answer.cookies[SESSION].value)


# -- the way through


async def test_somebody_new_comes_in_by_code_pkce_state_and_nonce(site: Site) -> None:
    asked = await site.leave("/servers?q=x")
    back = await site.come_back(asked)
    shown = site.provider.asked[-1]

    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
    assert asked["code_challenge_method"] == "S256"
    assert challenge_of(shown["code_verifier"]) == asked["code_challenge"]
    assert shown["redirect_uri"] == asked["redirect_uri"]
    assert shown["authorization"].startswith("Basic ")
    assert "client_secret" not in shown
    assert (back.status, back.headers[hdrs.LOCATION]) == (303, "/servers?q=x")
    assert is_in(back)
    gone = [cookie for name, cookie in back.cookies.items() if "signin" in name]
    assert [cookie.value for cookie in gone] == [""]
    trail = await site.rows(
        "SELECT action, details->>'subject' FROM audit_events WHERE object_name = %s",
        "bob@example.org",
    )
    assert ("user.create", None) in trail
    assert {("user.link_identity", "bob"), ("session.create", "bob")} <= set(trail)
    assert await site.role("bob@example.org") == "member"


async def test_the_cookie_of_the_way_is_for_the_server_alone(site: Site) -> None:
    await site.leave()
    answer = await site.hub.client.get("/login/oidc", allow_redirects=False)

    cookie = answer.headers[hdrs.SET_COOKIE]

    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"} <= set(cookie.split("; "))  # fmt: skip


async def test_the_way_survives_a_restart_of_the_hub(site: Site) -> None:
    asked = await site.leave()
    chosen = site.hub.services.settings
    another = make_sign_in(site.hub.database, chosen)  # as the hub makes when it starts
    query = {
        "state": asked["state"],
        "iss": site.provider.url,
        "code": site.provider.code(asked["nonce"]),
    }

    found = await another.flow.finish(Answer(query, browser=next(iter(site.kept.values()))))  # fmt: skip

    assert isinstance(found.signed_in, SignedIn)


async def test_what_the_id_token_leaves_out_is_asked_of_the_userinfo_endpoint(
    site: Site,
) -> None:
    site.provider.claims = {"sub": "una"}
    site.provider.told = {"sub": "una", "email": "una@example.org", "email_verified": True, "groups": ["audit"]}  # fmt: skip
    good = await site.sign_in()
    site.provider.told = {**site.provider.told, "sub": "somebody-else"}
    swapped = await site.sign_in()

    assert is_in(good)
    assert await site.role("una@example.org") == "reader"
    assert not is_in(swapped)


# -- hostile answers


def none_signed(claims: dict[str, Any], signer: HomemadeIssuer) -> str:
    said = signer.claims(CLIENT, **claims)
    return jwt.encode(said, "", algorithm="none", headers={"kid": signer.kid})


def shared_secret(claims: dict[str, Any], signer: HomemadeIssuer) -> str:
    """HS256 with the public key, which everybody has, as the secret."""
    head = base64url_encode(json.dumps({"alg": "HS256", "kid": signer.kid}).encode())
    said = json.dumps(signer.claims(CLIENT, **claims)).encode()
    signed = head + b"." + base64url_encode(said)
    key = json.dumps(signer.jwk).encode()
    mac = jwt.get_algorithm_by_name("HS256").sign(signed, key)
    return (signed + b"." + base64url_encode(mac)).decode()


def of_a_stranger(claims: dict[str, Any], signer: HomemadeIssuer) -> str:
    stranger = HomemadeIssuer(signer.issuer, "RS256")
    return stranger.token(CLIENT, {"typ": "JWT"}, **claims)


def forged(claims: dict[str, Any], signer: HomemadeIssuer) -> str:
    stranger = HomemadeIssuer(signer.issuer, "RS256")
    return stranger.token(CLIENT, {"typ": "JWT", "kid": signer.kid}, **claims)


def changed(**claims: Any) -> Callable[[dict[str, Any], HomemadeIssuer], str]:
    return lambda good, signer: signer.token(
        claims.pop("aud", CLIENT), {"typ": "JWT"}, **{**good, **claims}
    )


HOSTILE = {
    "nonce": changed(nonce="of another sign-in"),
    "audience": changed(aud="another-client"),
    "issuer": changed(iss="https://evil.example"),
    "expired": changed(exp=1_700_000_000),
    "none": none_signed,
    "shared secret": shared_secret,
    "unknown key": of_a_stranger,
    "forged": forged,
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_id_token_signs_nobody_in(site: Site, kind: str) -> None:
    signer, make = site.provider.signer, HOSTILE[kind]
    site.provider.make = lambda claims: make(claims, signer)

    answer = await site.sign_in()

    assert answer.status == HTTPStatus.UNAUTHORIZED
    assert not is_in(answer)
    assert "cannot be believed" in await answer.text()


async def test_an_answer_counts_once(site: Site) -> None:
    asked = await site.leave()
    first = await site.come_back(asked)
    site.hub.client.session.cookie_jar.clear()
    site.hub.client.session.cookie_jar.update_cookies(site.kept)
    again = await site.come_back(asked)

    assert is_in(first)
    assert again.status == HTTPStatus.UNAUTHORIZED
    assert not is_in(again)


async def test_an_answer_for_another_browser_signs_nobody_in(site: Site) -> None:
    """Somebody has a victim follow the last link of their own sign-in; it stays good for the browser that left."""
    asked = await site.leave()
    site.hub.client.session.cookie_jar.clear()
    elsewhere = await site.come_back(asked)
    wrong = dict.fromkeys(site.kept, "made-up")
    site.hub.client.session.cookie_jar.update_cookies(wrong)
    guessed = await site.come_back(asked)
    site.hub.client.session.cookie_jar.update_cookies(site.kept)
    own = await site.come_back(asked)

    assert (elsewhere.status, guessed.status) == (401, 401)
    assert not is_in(elsewhere)
    assert not is_in(guessed)
    assert is_in(own)


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
async def test_an_answer_of_another_provider_is_not_used(
    site: Site, issuer: str | None
) -> None:
    """Mix-up (RFC 9207): the code of one provider must not be shown to another."""
    before = len(site.provider.asked)

    answer = await site.come_back(await site.leave(), iss=issuer)

    assert answer.status == HTTPStatus.UNAUTHORIZED
    assert len(site.provider.asked) == before


async def test_nobody_is_led_elsewhere(site: Site) -> None:
    for wanted in ("//evil.example", "https://evil.example", "/\\evil.example"):
        back = await site.come_back(await site.leave(wanted))

        assert back.headers[hdrs.LOCATION] == "/servers"


async def test_the_hub_asks_no_neighbour_that_only_the_provider_names(
    site: Site,
) -> None:
    flow = make_sign_in(site.hub.database, site.hub.services.settings).flow
    site.provider.metadata = {"token_endpoint": "http://169.254.169.254/token"}
    gone = await flow.begin("http://x/login/oidc/callback", "/")
    site.provider.metadata = {}
    asked = dict(parse_qsl(urlsplit(gone.url).query))
    query = {"state": asked["state"], "iss": site.provider.url, "code": "x"}

    with pytest.raises(ProviderAwayError, match="beside it"):
        await flow.finish(Answer(query, browser=gone.browser))


async def test_words_of_a_provider_are_shown_only_to_who_asked_it(site: Site) -> None:
    said = {"code": None, "error": "access_denied", "error_description": "<b>No\x07"}
    mine = await (await site.come_back(await site.leave(), **said)).text()
    site.hub.client.session.cookie_jar.clear()
    nobodys = await (await site.come_back({"state": "x", "nonce": "x"}, **said)).text()

    assert "&lt;b&gt;No" in mine
    assert "\x07" not in mine
    assert "belongs to no sign-in" in nobodys
    assert "&lt;b&gt;" not in nobodys


async def test_the_session_is_a_new_one_whatever_the_browser_brought(
    site: Site,
) -> None:
    asked = await site.leave()
    site.hub.client.session.cookie_jar.update_cookies({SESSION: "chosen-by-others"})

    back = await site.come_back(asked)

    assert is_in(back)
    assert back.cookies[SESSION].value != "chosen-by-others"


# -- keys, and a provider that is away


async def test_a_new_key_of_the_provider_is_read_once_more(site: Site) -> None:
    await site.sign_in()
    site.provider.signer = HomemadeIssuer(site.provider.url, "ES256")
    before = site.provider.keys_read

    answer = await site.sign_in()

    assert is_in(answer)
    assert site.provider.keys_read == before + 1


async def test_a_provider_that_is_away_shuts_out_nobody_with_a_password(
    site: Site,
) -> None:
    asked = await site.leave()
    site.provider.is_away = True
    answer = await site.come_back(asked)
    text = await answer.text()
    by_password = await site.hub.post(
        "/login", email="ada@example.org", password=PASSWORD
    )

    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "answers 503" in text
    assert "whoever has a password" in text
    assert "/login?password" in text
    assert is_in(by_password)


# -- who people are


async def test_role_and_organisations_follow_the_groups_at_every_sign_in(
    site: Site,
) -> None:
    site.provider.person("carol", "ops", "devs")
    await site.sign_in()
    first = await site.role("carol@example.org")
    joined = await site.rows(MEMBER, "carol@example.org")
    site.provider.person("carol", "audit", email="carol.new@example.org")
    await site.sign_in()
    left = await site.rows(MEMBER, "carol@example.org")
    trail = await site.rows(
        "SELECT details->>'provider' FROM audit_events"
        " WHERE action = 'user.set_role' AND object_name = %s",
        "carol@example.org",
    )

    assert (first, await site.role("carol@example.org")) == ("admin", "reader")
    assert joined == [("deployer",)]
    assert left == []
    assert trail == [(site.provider.url,)]


async def test_an_address_alone_makes_nobody_somebody(site: Site) -> None:
    site.provider.person("mallory", "ops", email="ada@example.org")

    answer = await site.sign_in()
    text = await answer.text()

    assert answer.status == HTTPStatus.FORBIDDEN
    assert "link it on your profile" in text
    denied = await site.rows(
        "SELECT count(*) FROM audit_events WHERE outcome = 'denied'"
        " AND details->>'subject' = 'mallory'"
    )
    assert denied == [(1,)]


async def test_groups_never_leave_the_box_without_its_last_administrator(
    site: Site,
) -> None:
    await link_ada(site)
    site.provider.person("ada-there", "audit", email="ada@example.org")
    ada = "ada@example.org"
    await site.rows(
        "UPDATE users SET role = 'member' WHERE email <> %s RETURNING 1", ada
    )

    answer = await site.sign_in()

    assert is_in(answer)
    assert await site.role(ada) == "admin"
    kept = await site.rows(
        "SELECT details->>'wanted' FROM audit_events WHERE action = 'user.role_kept'"
    )
    assert kept == [("reader",)]


async def enter(site: Site, email: str = "ada@example.org") -> Principal:
    """Sign the browser in without the tenth of a second that a password takes."""

    def write() -> SignedIn:
        found = find_user(email)
        assert found
        return open_session(found[0], "a browser")

    made = await site.hub.database.run(write)
    site.hub.client.session.cookie_jar.clear()
    site.hub.client.session.cookie_jar.update_cookies({SESSION: made.token})
    site.hub.csrf = made.csrf_token
    found = await site.hub.services.accounts.sessions.whose(made.token)
    assert found
    return found


def asked_on(page: str, path: str) -> tuple[str, dict[str, str]]:
    """Return where a page leads, and what is asked there."""
    location = unescape(re.findall(rf'href="([^"]*{path}[^"]*)"', page)[0])
    return location, dict(parse_qsl(urlsplit(location).query))


async def link_ada(site: Site) -> aiohttp.ClientResponse:
    """Link ada on her profile, as a browser does; return the last answer."""
    await enter(site)
    page = await site.hub.post("/settings/identities/link")
    _, asked = asked_on(await page.text(), "/authorize")
    site.provider.person("ada-there", email="ada@example.org")
    return await site.come_back(asked)


async def test_a_profile_links_and_an_administrator_unlinks(site: Site) -> None:
    linked = "DELETE FROM user_identities WHERE subject = 'ada-there' RETURNING 1"
    await site.rows(linked)
    back = await link_ada(site)
    ada = (await enter(site)).user_id
    profile = await site.hub.page("/settings/sessions")
    people = await site.hub.page("/settings/people")
    taken = await link_ada(site)
    paths = re.findall(
        rf'action="(/settings/people/{ada}/identities/\d+/unlink)"', people
    )
    gone = [(await site.hub.post(path)).status for path in paths]

    assert back.headers[hdrs.LOCATION] == "/settings/sessions?linked"
    assert site.provider.url in profile
    assert "linked with ada@example.org" in people
    assert taken.status == HTTPStatus.CONFLICT
    assert gone == [303]
    assert await site.rows(linked) == []


async def test_a_link_that_another_session_began_is_refused(site: Site) -> None:
    """Else somebody could have their own identity linked with a victim's account."""
    flow = site.hub.services.signin.flow
    mine, other = await enter(site), await enter(site)
    gone = await flow.begin("http://x/login/oidc/callback", "/", links=mine)
    asked = dict(parse_qsl(urlsplit(gone.url).query))
    query = {
        "state": asked["state"],
        "iss": site.provider.url,
        "code": site.provider.code(asked["nonce"]),
    }

    with pytest.raises(SignInFailedError, match="nothing was linked"):
        await flow.finish(Answer(query, browser=gone.browser, principal=other))


async def test_over_the_api_administrators_link_and_people_unlink_themselves(
    site: Site,
) -> None:
    await site.sign_in()  # bob, who has no password
    bob = (await site.rows("SELECT id FROM users WHERE email = 'bob@example.org'"))[0][0]  # fmt: skip
    await enter(site)
    headers = {"X-CSRF-Token": site.hub.csrf}
    client = site.hub.client
    person = await (await client.get(f"/api/users/{bob}")).json()
    path = f"/api/users/{bob}/identities"
    made = await client.post(path, json={"subject": "bob-2"}, headers=headers)
    again = await client.post(path, json={"subject": "bob-2"}, headers=headers)
    await enter(site, "bob@example.org")
    headers = {"X-CSRF-Token": site.hub.csrf}
    mine = (await (await client.get("/api/me/identities")).json())["items"]
    gone = [
        (
            await client.delete(f"/api/me/identities/{item['id']}", headers=headers)
        ).status
        for item in mine
    ]

    assert person["has_password"] is False
    assert person["identities"][0]["subject"] == "bob"
    assert (made.status, again.status) == (201, 409)
    assert [item["subject"] for item in mine] == ["bob", "bob-2"]
    assert gone == [204, 409]  # the second is the only way in


async def test_the_terminal_shows_links_and_unlinks(site: Site, tmp_path: Path) -> None:
    site.provider.person("finn")
    await site.sign_in()
    ada = await enter(site)
    services, server = site.hub.services, site.hub.client.server
    assert isinstance(server, TestServer)
    terminal = Terminal(ServedHub(site.hub.database, services, server), tmp_path)
    terminal.show_key((await services.accounts.keys.create(ada, NewKey("t"))).shown)

    linked = await terminal.run("users", "link", "finn@example.org", "--subject", "f2")
    listed = await terminal.run("users", "list")
    unsaid = await terminal.run("users", "unlink", "finn@example.org")
    gone = await terminal.run("users", "unlink", "finn@example.org", "--subject", "f2")

    assert f"Linked with f2 at {site.provider.url}." in linked.out
    line = next(item for item in listed.out.splitlines() if "finn@" in item)
    assert "provider" in line
    assert "password" not in line
    assert "linked with finn, f2" in unsaid.err
    assert "Unlinked from f2" in gone.out


async def test_signing_out_leads_to_the_provider(site: Site) -> None:
    site.provider.person("dora")
    back = await site.sign_in()
    token = back.cookies[SESSION].value
    found = await site.hub.services.accounts.sessions.whose(token)
    assert found
    site.hub.csrf = found.csrf_token

    answer = await site.hub.post("/logout")
    location, asked = asked_on(await answer.text(), "/logout")
    hint = jwt.decode(asked["id_token_hint"], options={"verify_signature": False})

    assert location.startswith(f"{site.provider.url}/logout?")
    assert hint["sub"] == "dora"
    assert asked["post_logout_redirect_uri"].endswith("/")
    assert await site.hub.services.accounts.sessions.whose(token) is None


# -- passwords off


async def test_with_passwords_off_one_administrator_alone_keeps_the_door(
    site: Site,
) -> None:
    people = site.hub.services.accounts.people
    await people.add(SYSTEM, "eve@example.org", PASSWORD, Role.ADMIN)
    site.hub.client.session.cookie_jar.clear()
    eve = await site.hub.post("/login", email="eve@example.org", password=PASSWORD)
    wrong = await site.hub.post("/login", email="eve@example.org", password="x" * 12)
    keeper = await site.hub.post("/login", email="ada@example.org", password=PASSWORD)
    site.hub.client.session.cookie_jar.clear()
    page = await site.hub.page("/login")
    ways = await (await site.hub.client.get("/api/sign-in")).json()

    assert (eve.status, wrong.status) == (403, 401)
    assert not is_in(eve)
    assert is_in(keeper)
    assert 'name="password"' not in page
    assert 'name="password"' in await site.hub.page("/login?password")
    assert "Sign in with Example Org" in page
    assert ways["password"] is False
    assert ways["provider"]["url"].endswith("/login/oidc")
