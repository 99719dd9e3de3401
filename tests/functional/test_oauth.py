"""The authorization server as clients and browsers meet it: the way through, and the doors that must be shut."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio

from appliance.accounts.model import Role
from appliance.infra.database import Database
from tests.cluster import ThrowAwayCluster
from tests.harness.oauth import (
    CALLBACK,
    GATEWAY,
    Client,
    Documents,
    answer_of,
    certificate,
    documents,
    register,
)
from tests.harness.pages import Hub, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = f"{GATEWAY}/servers/clock/mcp"


@dataclass
class Site:
    """One hub for the whole module, with ada's server ``clock`` and bob's ``bobs``; bob is signed in."""

    hub: Hub
    documents: Documents

    @property
    def issuer(self) -> str:
        return str(self.hub.client.make_url("")).rstrip("/")

    async def revoked(self) -> set[int]:
        """Return the grants that gateways take no tokens of any more."""
        query = "SELECT grant_id FROM gateway_revoked_grants"
        rows = await self.hub.database.run(
            lambda: self.hub.database.peewee.execute_sql(query).fetchall()
        )
        return {row[0] for row in rows}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    cluster: ThrowAwayCluster,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Site]:
    cluster.execute(f"CREATE DATABASE test_oauth TEMPLATE {migrated_template}")
    database = Database(cluster.url("test_oauth"), size=4)
    directory: Path = tmp_path_factory.mktemp("oauth")
    pem = await asyncio.to_thread(certificate, directory)
    async with (
        documents(pem) as served,
        hub(
            database,
            data_dir=directory / "data",
            mcp_gateway_url=GATEWAY,
            ca_bundle=pem,
            oauth_private_client_hosts=served.host,
        ) as running,
    ):
        ada = await running.sign_in()
        await running.host(ada, "clock")
        bob = await running.sign_in("bob@example.org", Role.MEMBER)
        await running.host(bob, "bobs")
        yield Site(running, served)
    await asyncio.to_thread(database.close)


@pytest_asyncio.fixture(loop_scope="module")
async def client(site: Site) -> Client:
    """A public client that registered itself and asks for bob's server."""
    return await register(site.hub)


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def bobs(**changed: str | None) -> dict[str, str | None]:
    return {"resource": f"{GATEWAY}/servers/bobs/mcp", **changed}


# -- the way through


async def test_metadata_names_what_is_there(site: Site) -> None:
    for path in ("oauth-authorization-server", "openid-configuration"):
        response = await site.hub.client.get(f"/.well-known/{path}")
        found = await response.json()

        assert found["issuer"] == site.issuer
        assert found["code_challenge_methods_supported"] == ["S256"]
        assert found["authorization_response_iss_parameter_supported"] is True
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_client_gets_tokens_after_a_person_said_yes(
    site: Site, client: Client
) -> None:
    page = await client.authorize(**bobs())
    text = await page.text()
    allowed = await client.decide(**bobs())
    answer = answer_of(allowed)
    status, found = await client.redeem(answer["code"])

    assert page.status == 200
    assert "Test client" in text
    assert "bobs" in text
    assert "client<wbr>.example<wbr>.org" in text
    assert (
        f"form-action 'self' {CALLBACK[:26]}" in page.headers["Content-Security-Policy"]
    )
    assert allowed.headers["Location"].startswith(f"{CALLBACK}?")
    assert (answer["state"], answer["iss"]) == (client.state, site.issuer)
    assert (status, found["token_type"], found["expires_in"]) == (200, "Bearer", 900)
    claims = claims_of(found["access_token"])
    assert claims["iss"] == site.issuer
    assert claims["aud"] == f"{GATEWAY}/servers/bobs/mcp"
    assert claims["sub"].startswith("user:")
    assert (claims["client_id"], claims["scope"]) == (client.client_id, "mcp:read mcp:call")  # fmt: skip


async def test_the_token_is_signed_by_the_key_that_is_shown(
    site: Site, client: Client
) -> None:
    found = await client.tokens(**bobs())

    keys = await (await site.hub.client.get("/oauth/jwks")).json()

    key = jwt.PyJWK(keys["keys"][0])
    audience = f"{GATEWAY}/servers/bobs/mcp"
    read = jwt.decode(found["access_token"], key, ["ES256"], audience=audience)
    assert "d" not in keys["keys"][0]
    assert read["gid"] > 0


async def test_who_is_not_signed_in_signs_in_first_and_comes_back(
    site: Site, client: Client
) -> None:
    site.hub.client.session.cookie_jar.clear()
    away = await client.authorize(**bobs())
    form = await site.hub.get(away.headers["Location"])
    wanted = away.headers["Location"].partition("next=")[2]
    back = await site.hub.post(
        "/login",
        email="bob@example.org",
        password="correct horse battery staple",
        next=site.hub.client.make_url(f"/?next={wanted}").query["next"],
    )
    principal = await site.hub.services.accounts.sessions.whose(
        back.cookies["mcp_host_session"].value
    )
    assert principal
    site.hub.csrf = principal.csrf_token
    page = await site.hub.page(back.headers["Location"])

    assert away.status == 303
    assert away.headers["Location"].startswith("/login?next=/oauth/authorize")
    assert form.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    assert "Allow Test client?" in page


async def test_a_refresh_token_is_replaced_at_every_use(client: Client) -> None:
    first = await client.tokens(**bobs())

    status, second = await client.refresh(first["refresh_token"])
    again, third = await client.refresh(second["refresh_token"], scope="mcp:read")

    assert (status, again) == (200, 200)
    assert second["refresh_token"] not in {first["refresh_token"], third["refresh_token"]}  # fmt: skip
    assert claims_of(second["access_token"])["gid"] == claims_of(first["access_token"])["gid"]  # fmt: skip
    assert third["scope"] == "mcp:read"


async def test_a_no_is_told_to_the_client_and_leaves_nothing(
    site: Site, client: Client
) -> None:
    response = await client.deny(**bobs())

    answer = answer_of(response)
    assert (answer["error"], answer["state"]) == ("access_denied", client.state)
    assert answer["iss"] == site.issuer
    audit = await site.hub.services.audit.list(action="oauth.grant")
    assert audit[0].outcome == "denied"


async def test_what_was_allowed_before_is_not_asked_again_until_it_is_taken_back(
    site: Site, client: Client
) -> None:
    found = await client.tokens(**bobs())
    grant_id = claims_of(found["access_token"])["gid"]

    known = await client.authorize(**bobs(scope="mcp:read"))
    other = await client.authorize(**bobs(prompt="consent"))
    await site.hub.client.delete(
        f"/api/oauth/grants/{grant_id}", headers={"X-CSRF-Token": site.hub.csrf}
    )
    codes = answer_of(known)["code"]

    assert known.status == 303
    assert (await client.redeem(codes))[1]["scope"] == "mcp:read"
    assert other.status == 200
    assert grant_id in await site.revoked()


async def test_a_program_on_ones_own_computer_is_asked_about_every_time(
    site: Site,
) -> None:
    native = await register(site.hub, redirect_uris=["http://127.0.0.1/callback"])
    native.redirect_uri = "http://127.0.0.1:53682/callback"
    await native.tokens(**bobs())

    again = await native.authorize(**bobs())

    assert again.status == 200
    assert "a program on your own computer" in await again.text()


async def test_a_document_describes_a_client(site: Site) -> None:
    client_id = site.documents.put("/app/client.json", client_name="Papers")
    papers = Client(site.hub, client_id)

    page = await (await papers.authorize(**bobs())).text()
    found = await papers.tokens(**bobs())

    assert "Papers" in page
    assert client_id in page
    assert claims_of(found["access_token"])["client_id"] == client_id
    # Kept for a while: three questions, one fetch.
    assert site.documents.asked.count("/app/client.json") == 1


async def test_a_machine_client_acts_as_its_maker(site: Site) -> None:
    made = await site.hub.client.post(
        "/api/oauth/clients",
        json={"name": "nightly", "scopes": ["mcp:call"]},
        headers={"X-CSRF-Token": site.hub.csrf},
    )
    found = await made.json()
    machine = Client(site.hub, found["client_id"], secret=found["client_secret"])
    grant = {"grant_type": "client_credentials"}

    status, answer = await machine.token(**grant, resource=f"{GATEWAY}/servers/bobs/mcp")  # fmt: skip
    theirs, refusal = await machine.token(**grant, resource=CLOCK)
    await site.hub.client.delete(
        f"/api/oauth/clients/{machine.client_id}",
        headers={"X-CSRF-Token": site.hub.csrf},
    )
    gone, _ = await machine.token(**grant, resource=f"{GATEWAY}/servers/bobs/mcp")

    claims = claims_of(answer["access_token"])
    assert (status, answer["scope"]) == (200, "mcp:call")
    assert "refresh_token" not in answer
    assert claims["sub"] == f"client:{machine.client_id}"
    assert claims["act_for"].startswith("user:")
    assert (theirs, refusal["error"]) == (400, "invalid_target")
    assert gone == 401
    assert claims["gid"] in await site.revoked()


# -- the doors that must be shut


async def test_a_code_that_comes_twice_ends_what_came_of_it(
    site: Site, client: Client
) -> None:
    code = await client.code(**bobs())
    _, first = await client.redeem(code)

    status, refusal = await client.redeem(code)
    after, _ = await client.refresh(first["refresh_token"])

    assert (status, refusal["error"]) == (400, "invalid_grant")
    assert after == 400
    assert claims_of(first["access_token"])["gid"] in await site.revoked()


async def test_a_refresh_token_that_comes_twice_ends_the_whole_grant(
    site: Site, client: Client
) -> None:
    first = await client.tokens(**bobs())
    _, second = await client.refresh(first["refresh_token"])

    status, refusal = await client.refresh(first["refresh_token"])
    honest, _ = await client.refresh(second["refresh_token"])

    assert (status, refusal["error"]) == (400, "invalid_grant")
    assert honest == 400
    assert claims_of(second["access_token"])["gid"] in await site.revoked()


async def test_a_code_of_one_issuer_is_worth_nothing_to_another(
    site: Site, client: Client
) -> None:
    code = await client.code(**bobs())
    form = {
        "grant_type": "authorization_code",
        "client_id": client.client_id,
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": client.verifier,
    }

    # The same hub under another name is another issuer: a client that was mixed up must not get a token.
    response = await site.hub.client.post(
        "/oauth/token", data=form, headers={"Host": "other.example.org"}
    )

    assert response.status == 400
    assert (await response.json())["error"] == "invalid_grant"


async def test_a_code_is_worth_nothing_to_another_client(
    site: Site, client: Client
) -> None:
    thief = await register(site.hub)
    thief.verifier = client.verifier
    code = await client.code(**bobs())

    stolen, refusal = await thief.redeem(code)
    mine, _ = await client.redeem(code)

    assert (stolen, refusal["error"]) == (400, "invalid_grant")
    # What a stranger tries does not take it from whose it is.
    assert mine == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": f"{CALLBACK}/"},
        {"resource": CLOCK},
    ],
)
async def test_a_code_is_bound_to_verifier_redirect_and_resource(
    client: Client, changed: dict[str, str]
) -> None:
    code = await client.code(**bobs())

    status, _ = await client.redeem(code, **changed)
    again, refusal = await client.redeem(code)

    assert status == 400
    # One try is all.
    assert (again, refusal["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"response_type": "token"},
        {"scope": "admin"},
    ],
)
async def test_a_weaker_request_is_refused_and_the_client_told(
    client: Client, site: Site, changed: dict[str, str | None]
) -> None:
    response = await client.authorize(**bobs(**changed))

    answer = answer_of(response)
    assert response.headers["Location"].startswith(CALLBACK)
    assert answer["error"]
    assert (answer["state"], answer["iss"]) == (client.state, site.issuer)
    assert "code" not in answer


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example.org/callback",
        f"{CALLBACK}/../evil",
        f"{CALLBACK}?more=1",
        "https://client.example.org:8443/callback",
        "https://client.example.org.evil.example/callback",
        "https://client.example.org@evil.example/callback",
        "HTTPS://client.example.org/callback",
        "javascript:alert(1)",
        "//client.example.org/callback",
    ],
)
async def test_nobody_is_sent_where_the_client_did_not_say(
    client: Client, redirect_uri: str
) -> None:
    shown = await client.authorize(**bobs(redirect_uri=redirect_uri))
    sent = await client.decide(**bobs(redirect_uri=redirect_uri))

    assert (shown.status, sent.status) == (422, 422)
    assert "Location" not in {**shown.headers, **sent.headers}


async def test_a_client_that_is_not_known_is_told_nothing(site: Site) -> None:
    response = await Client(site.hub, "nobody").authorize()

    assert response.status == 422
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    "resource",
    [
        None,
        CLOCK,  # ada's: bob must not learn whether it is there
        f"{GATEWAY}/servers/nothing/mcp",
        "https://evil.example.org/servers/bobs/mcp",
        f"{GATEWAY}/servers/bobs/mcp?x=1",
        f"{GATEWAY}/servers/bobs",
        "http://evil@127.0.0.1:4444/servers/bobs/mcp",
        "http://127.0.0.1:4445/servers/bobs/mcp",
    ],
)
async def test_tokens_are_for_our_endpoints_and_for_those_who_may_call_them(
    client: Client, resource: str | None
) -> None:
    response = await client.authorize(resource=resource)

    assert answer_of(response)["error"] == "invalid_target"


async def test_consent_needs_the_token_of_the_session(
    site: Site, client: Client
) -> None:
    form = {**client.request(**bobs()), "decision": "allow"}

    without = await site.hub.client.post(
        "/oauth/consent", data=form, allow_redirects=False
    )
    elsewhere = await site.hub.client.post(
        "/oauth/consent",
        data={**form, "csrf_token": site.hub.csrf},
        headers={"Origin": "https://evil.example.org"},
        allow_redirects=False,
    )

    assert (without.status, elsewhere.status) == (403, 403)


async def test_a_parameter_that_comes_twice_is_refused(
    site: Site, client: Client
) -> None:
    asked = [*client.request(**bobs()).items(), ("redirect_uri", "https://evil.example.org")]  # fmt: skip

    page = await site.hub.client.get(
        "/oauth/authorize", params=asked, allow_redirects=False
    )
    token = await site.hub.client.post(
        "/oauth/token", data=[("grant_type", "a"), ("grant_type", "b")]
    )

    assert page.status == 422
    assert (await token.json())["error"] == "invalid_request"


async def test_an_api_key_cannot_consent(site: Site, client: Client) -> None:
    made = await site.hub.client.post(
        "/api/keys", json={"name": "k"}, headers={"X-CSRF-Token": site.hub.csrf}
    )
    key = (await made.json())["key"]
    form = {**client.request(**bobs()), "decision": "allow"}

    response = await site.hub.client.post(
        "/oauth/consent",
        data=form,
        headers={"Authorization": f"Bearer {key}"},
        allow_redirects=False,
    )

    assert response.status == 422


async def test_a_client_with_a_secret_needs_it(site: Site) -> None:
    secretive = await register(
        site.hub, token_endpoint_auth_method="client_secret_basic"
    )
    code = await secretive.code(**bobs())
    secret, secretive.secret = secretive.secret, ""

    without, refusal = await secretive.redeem(code)
    secretive.secret = "mcpo_wrong"
    wrong, _ = await secretive.redeem(code)
    secretive.secret = secret
    right, _ = await secretive.redeem(code)

    assert (without, refusal["error"]) == (401, "invalid_client")
    assert (wrong, right) == (401, 200)


@pytest.mark.parametrize(
    "document",
    [
        {"client_id": "https://elsewhere.example.org/client.json"},
        {"redirect_uris": []},
        {"redirect_uris": ["http://client.example.org/callback"]},
        {"client_name": ""},
        {"client_secret": "s"},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"grant_types": ["client_credentials"]},
    ],
)
async def test_a_document_that_does_not_describe_its_client_is_refused(
    site: Site, document: dict[str, Any]
) -> None:
    client_id = site.documents.put("/wrong.json", **document)

    response = await Client(site.hub, client_id).authorize(resource=CLOCK)

    assert response.status == 422
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    "client_id",
    [
        "https://127.0.0.1/client.json",
        "https://[::1]/client.json",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/client.json",
        "https://localhost:1/client.json",
        "https://[::ffff:10.0.0.1]/client.json",
        "http://client.example.org/client.json",
        "https://user@client.example.org/client.json",
        "https://client.example.org",
        "https://client.example.org/a/../client.json",
        "https://client.example.org/client.json#x",
    ],
)
async def test_no_document_is_fetched_from_this_box_or_beside_it(
    site: Site, client_id: str
) -> None:
    response = await Client(site.hub, client_id).authorize()

    assert response.status == 422
    assert "Location" not in response.headers


async def test_a_document_is_not_followed_elsewhere_and_has_bounds(site: Site) -> None:
    from aiohttp import web  # noqa: PLC0415

    away = web.Response(status=302, headers={"Location": "https://localhost/x"})
    site.documents.served["/away.json"] = away
    big = web.Response(body=b" " * 70_000, content_type="application/json")
    site.documents.served["/big.json"] = big
    page = web.Response(text="<html>", content_type="text/html")
    site.documents.served["/page.json"] = page

    for path in ("/away.json", "/big.json", "/page.json", "/missing.json"):
        found = await Client(site.hub, f"{site.documents.url}{path}").authorize()
        assert found.status == 422, path


async def test_nobody_who_is_not_signed_in_makes_the_hub_fetch(site: Site) -> None:
    client_id = site.documents.put("/quiet.json")
    stranger = Client(site.hub, client_id)
    kept = list(site.hub.client.session.cookie_jar)
    site.hub.client.session.cookie_jar.clear()

    await stranger.authorize()
    status, _ = await stranger.redeem("a code")
    for cookie in kept:
        site.hub.client.session.cookie_jar.update_cookies({cookie.key: cookie})

    assert status == 401
    assert "/quiet.json" not in site.documents.asked


async def test_what_one_granted_others_do_not_see_or_take_back(
    site: Site, client: Client
) -> None:
    found = await client.tokens(**bobs())
    grant_id = claims_of(found["access_token"])["gid"]
    mine = await (await site.hub.client.get("/api/oauth/grants")).json()
    carol = await site.hub.sign_in("carol@example.org", Role.MEMBER)

    theirs = await (await site.hub.client.get("/api/oauth/grants?all=true")).json()
    revoked = await site.hub.client.delete(
        f"/api/oauth/grants/{grant_id}", headers={"X-CSRF-Token": carol.csrf_token}
    )

    assert grant_id in {item["id"] for item in mine["items"]}
    assert theirs["items"] == []
    assert revoked.status == 404


# -- for people


async def test_a_person_sees_what_they_allowed_and_takes_it_back(
    site: Site, client: Client
) -> None:
    dan = await site.hub.sign_in("dan@example.org", Role.MEMBER)
    await site.hub.host(dan, "dans")
    found = await client.tokens(resource=f"{GATEWAY}/servers/dans/mcp")
    grant_id = claims_of(found["access_token"])["gid"]

    before = await site.hub.page("/settings/apps")
    revoked = await site.hub.post(f"/settings/apps/grants/{grant_id}/revoke")
    after = await site.hub.page("/settings/apps")

    assert "Test client" in before
    assert "server dans" in before
    assert revoked.status == 303
    assert "Test client" not in after
    assert grant_id in await site.revoked()


async def test_the_secret_of_a_machine_client_is_shown_once_and_exchanged(
    site: Site,
) -> None:
    eve = await site.hub.sign_in("eve@example.org", Role.MEMBER)
    await site.hub.host(eve, "eves")
    made = await site.hub.post("/settings/apps/clients", name="nightly", scope="")
    shown = await made.text()
    secret = re.findall(r"mcpo_[\w-]{43}", shown)[0]
    client_id = re.findall(r"machine-[0-9a-f]{16}", shown)[0]
    machine = Client(site.hub, client_id, secret=secret)
    asked = {
        "grant_type": "client_credentials",
        "resource": f"{GATEWAY}/servers/eves/mcp",
    }

    later = await site.hub.page("/settings/apps")
    again = await site.hub.post(f"/settings/apps/clients/{client_id}/rotate")
    new = re.findall(r"mcpo_[\w-]{43}", await again.text())[0]
    old_status, _ = await machine.token(**asked)
    machine.secret = new
    new_status, _ = await machine.token(**asked)
    nameless = await site.hub.post("/settings/apps/clients", name=" ")

    assert secret not in later
    assert (old_status, new_status) == (200, 200)
    assert nameless.status == 422


async def test_people_sign_in_with_an_app_that_an_administrator_made(
    site: Site,
) -> None:
    await site.hub.sign_in("gus@example.org", Role.ADMIN)
    wanted = {"name": "Desk", "redirect_uris": f"{CALLBACK}\nhttp://localhost/callback", "scope": "mcp:read"}  # fmt: skip
    made = await (await site.hub.post("/settings/apps/clients", **wanted)).text()
    bad = await site.hub.post("/settings/apps/clients", name="x", redirect_uris="ftp://x")  # fmt: skip
    desk = Client(
        site.hub,
        re.findall(r"made-[0-9a-f]{16}", made)[0],
        secret=re.findall(r"mcpo_[\w-]{43}", made)[0],
    )

    asked = await (await desk.authorize()).text()
    found = await desk.tokens()
    astray = await desk.authorize(redirect_uri="https://elsewhere.example.org/callback")
    machine = await desk.token(grant_type="client_credentials", resource=CLOCK)

    assert "made by an administrator of this box" in asked
    assert "nobody vouches" not in asked
    assert found["scope"] == "mcp:read"
    assert found["refresh_token"]
    assert astray.status == 422
    assert machine[1]["error"] == "unauthorized_client"
    assert bad.status == 422


async def test_an_app_without_a_secret_has_none_to_exchange_and_takes_an_administrator(
    site: Site,
) -> None:
    await site.hub.sign_in("hal@example.org", Role.ADMIN)
    token = {"X-CSRF-Token": site.hub.csrf}
    wanted = {"name": "page", "redirect_uris": [CALLBACK], "public": True}
    made = await site.hub.client.post("/api/oauth/clients", json=wanted, headers=token)
    found = await made.json()
    path = f"/api/oauth/clients/{found['client_id']}"
    exchanged = await site.hub.client.post(f"{path}/rotate", json={}, headers=token)
    await site.hub.sign_in("fay@example.org", Role.MEMBER)
    token = {"X-CSRF-Token": site.hub.csrf}
    refused = await site.hub.client.post("/api/oauth/clients", json=wanted, headers=token)  # fmt: skip
    hidden = await site.hub.client.delete(path, headers=token)

    assert (made.status, found["client_secret"], found["has_secret"]) == (201, "", False)  # fmt: skip
    assert exchanged.status == 409
    assert (refused.status, hidden.status) == (403, 404)
