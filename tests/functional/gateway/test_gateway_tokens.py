"""The gateway as clients with access tokens meet it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from psycopg2.extras import Json

from appliance.core.oauth import authorization_server
from tests.fakes.homemade_issuer import HomemadeIssuer
from tests.fakes.mcp_box import Box, tool_call, wait_until
from tests.harness.ports import free_port

CALL = tool_call("headers")
CALLBACK = "http://localhost:1/callback"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def trust(box: Box, issuer: HomemadeIssuer, named: str = "") -> None:
    box.execute(
        "INSERT INTO oauth_signing_keys (kid, issuer, alg, jwk, created_at) VALUES (%s, %s, %s, %s, now())",
        issuer.kid,
        named,
        issuer.alg,
        Json(issuer.jwk),
    )


def grant(box: Box, user_id: int) -> Any:
    box.execute(
        "INSERT INTO oauth_clients (client_id, kind, name, auth_method) VALUES ('inspector', 'dynamic', '', 'none')"
        " ON CONFLICT DO NOTHING"
    )
    return box.execute(
        "INSERT INTO oauth_grants (user_id, client_id, issuer, resource, scope, token_until)"
        " VALUES (%s, 'inspector', '', '', '', now() + interval '1 hour') RETURNING id",
        user_id,
    )


@pytest.fixture
def web_box(box: Box, web_server: str) -> Iterator[Box]:
    """A gateway before an HTTP server called ``web``."""
    box.host_http("web", f"{web_server}/mcp")
    yield box
    box.execute("DELETE FROM oauth_signing_keys")
    box.execute("DELETE FROM oauth_clients")


@pytest.fixture
def issuer(web_box: Box) -> HomemadeIssuer:
    """What the gateway takes for the built-in authorization server."""
    found = HomemadeIssuer(f"http://127.0.0.1:{web_box.settings.bind_port}")
    trust(web_box, found)
    return found


@pytest.fixture
def token(web_box: Box, issuer: HomemadeIssuer) -> Callable[..., str]:
    """Make a token of the owner of ``web``."""

    def make(name: str = "web", **claims: Any) -> str:
        audience = claims.pop("aud", f"{web_box.url}/servers/{name}/mcp")
        return issuer.token(audience, **{"sub": f"user:{web_box.owner}"} | claims)

    return make


def answered(
    box: Box, path: str, body: Any = None, *, method: str | None = None, **headers: str
) -> tuple[int, Any, Any]:
    """Return status, headers and body."""
    request = Request(
        box.url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        method=method,
    )
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_a_token_opens_its_endpoint_alone(
    web_box: Box, web_server: str, token: Callable[..., str]
) -> None:
    owner = web_box.owner
    web_box.host_http("other", f"{web_server}/mcp")
    web_box.execute("UPDATE servers SET owner_id = %s", owner)
    web_box.owner = owner
    shown = token("web")

    others = token("other")
    wait_until(
        lambda: all(web_box.post("other", CALL, key=others)[0] == 200 for _ in "1234"),
        "both are the person's",
    )
    status, refused = web_box.post("other", CALL, key=shown)

    assert (status, refused["error"]["message"]) == (
        401,
        "The access token is not taken: it is for another endpoint.",
    )
    assert web_box.post("nosuch", CALL, key=shown)[0] == 401
    assert web_box.post("nosuch", CALL, key=token("nosuch"))[0] == 404
    assert web_box.post("web", CALL, key=shown)[0] == 200


def test_the_first_token_of_a_new_key_does_not_come_too_early(
    web_box: Box, token: Callable[..., str]
) -> None:
    """No news of the key has come yet: it is read when the token names it."""
    assert web_box.post("web", CALL, key=token())[0] == 200


def test_what_is_no_good_token_is_refused_with_the_reason(
    web_box: Box, issuer: HomemadeIssuer, token: Callable[..., str]
) -> None:
    stranger = HomemadeIssuer(issuer.issuer)
    forged = stranger.token(f"{web_box.url}/servers/web/mcp", {"kid": issuer.kid})
    shown = {
        "expired": token(exp=time.time() - 60),
        "signature": forged,
        "another issuer": token(iss="https://evil.example"),
        "another endpoint": token(aud="https://evil.example/servers/web/mcp"),
        "not known": stranger.token(f"{web_box.url}/servers/web/mcp"),
    }

    for reason, text in shown.items():
        status, headers, _ = answered(
            web_box, "/servers/web/mcp", CALL, Authorization=f"Bearer {text}"
        )
        assert status == 401
        assert 'error="invalid_token"' in headers["WWW-Authenticate"]
        assert reason in headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "path", ["servers/web/mcp", "bundles/web/mcp", "servers/web/sse"]
)
def test_nobody_learns_by_the_challenge_which_servers_exist(
    web_box: Box, path: str
) -> None:
    nosuch = path.replace("web", "nosuch")

    first = answered(web_box, f"/{path}", method="GET")
    second = answered(web_box, f"/{nosuch}", method="GET")

    assert first[0] == second[0] == 401
    assert first[2] == second[2]
    challenge = first[1]["WWW-Authenticate"]
    assert challenge.replace("web", "nosuch") == second[1]["WWW-Authenticate"]
    url = challenge.partition('resource_metadata="')[2].partition('"')[0]
    for shown, name in ((url, path), (url.replace("web", "nosuch"), nosuch)):
        status, headers, body = answered(web_box, urlsplit(shown).path)
        assert status == 200
        assert json.loads(body)["resource"] == f"{web_box.url}/{name}"
        assert headers["Access-Control-Allow-Origin"] == "*"


def test_pages_of_any_origin_may_read_the_metadata(web_box: Box) -> None:
    path = "/.well-known/oauth-protected-resource/servers/web/mcp"
    origin = {"Origin": "https://inspector.example"}

    asked = answered(web_box, path, method="OPTIONS", **origin)
    read = answered(web_box, path, **origin)
    wrote = answered(web_box, path, {}, **origin)

    assert (asked[0], read[0], wrote[0]) == (204, 200, 405)
    assert "GET" in asked[1]["Access-Control-Allow-Methods"]


def test_a_narrow_token_is_told_what_it_lacks(
    web_box: Box, token: Callable[..., str]
) -> None:
    shown = {"Authorization": f"Bearer {token(scope='mcp:read')}"}

    listed = answered(web_box, "/servers/web/mcp", LIST, **shown)
    called = answered(web_box, "/servers/web/mcp", CALL, **shown)

    assert listed[0] == 200
    assert called[0] == 403
    assert json.loads(called[2])["error"]["data"]["code"] == "insufficient_scope"
    challenge = called[1]["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="mcp:read mcp:call"' in challenge
    assert "/.well-known/oauth-protected-resource/servers/web/mcp" in challenge


def every_worker_lets_in(box: Box, key: str) -> bool:
    """Tell whether so many calls in a row are answered that every worker had some of them."""
    return all(box.post("web", CALL, key=key)[0] == 200 for _ in range(8))


def test_a_session_belongs_to_the_person_and_outlives_a_token(
    web_box: Box, token: Callable[..., str]
) -> None:
    session = web_box.open_session("web", key=token())
    header = {"Mcp-Session-Id": session}
    another = web_box.add_user("admin")

    again = web_box.post("web", CALL, key=token(), headers=header)
    key = web_box.add_user_key(web_box.owner)
    others = token(sub=f"user:{another}")
    for opens in (key, others):
        wait_until(partial(every_worker_lets_in, web_box, opens), "all know who it is")
    by_key = web_box.post("web", CALL, key=key, headers=header)

    assert again[0] == by_key[0] == 200
    assert web_box.post("web", CALL, key=others, headers=header)[0] == 404


@pytest.mark.parametrize("how", ["revoked", "disabled", "removed"])
def test_what_was_taken_away_is_gone_within_two_seconds(
    web_box: Box, token: Callable[..., str], how: str
) -> None:
    person = web_box.add_user("member")
    org = web_box.execute(
        "INSERT INTO orgs (name, created_by) VALUES (%s, 'x') RETURNING id", f"o-{how}"
    )
    web_box.execute(
        "INSERT INTO org_members (org_id, user_id, role, added_by) VALUES (%s, %s, 'reader', 'x')",
        org,
        person,
    )
    web_box.execute("UPDATE servers SET org_id = %s", org)
    shown = token(sub=f"user:{person}", gid=grant(web_box, person))
    wait_until(lambda: web_box.post("web", CALL, key=shown)[0] == 200, "it is open")
    sql = {
        "revoked": "UPDATE oauth_grants SET revoked_at = now() WHERE user_id = %s",
        "disabled": "UPDATE users SET disabled_at = now() WHERE id = %s",
        "removed": "DELETE FROM org_members WHERE user_id = %s",
    }
    expected = {"revoked": 401, "disabled": 404, "removed": 404}

    web_box.execute(sql[how], person)

    wait_until(
        lambda: all(
            web_box.post("web", CALL, key=shown)[0] == expected[how] for _ in range(4)
        ),
        "nothing opens",
        within_s=2,
    )


def test_a_stream_ends_with_its_token(
    web_box: Box, web_server: str, token: Callable[..., str]
) -> None:
    web_box.host_http("quiet", f"{web_server}/stream-and-hang")
    # Ten seconds are given for clocks that differ.
    shown = token("quiet", exp=time.time() - 8)
    began = time.monotonic()

    with web_box.send("quiet", None, key=shown) as stream:
        stream.settimeout(10)
        text = b""
        while not text.endswith(b"0\r\n\r\n") and (piece := stream.recv(65536)):
            text += piece

    assert text.startswith(b"HTTP/1.1 200")
    assert b": here" in text
    assert 1 < time.monotonic() - began < 8


def test_a_key_that_may_only_look_cannot_call(web_box: Box) -> None:
    key = web_box.add_user_key(web_box.owner)
    other = web_box.add_user_key(web_box.owner)
    web_box.execute("UPDATE api_keys SET scope = %s", Json({"actions": ["see"]}))
    web_box.execute(
        "UPDATE api_keys SET scope = %s WHERE id = (SELECT max(id) FROM api_keys)",
        Json({"servers": [0]}),
    )
    wait_until(
        lambda: all(web_box.post("web", LIST, key=other)[0] == 404 for _ in range(4)),
        "the scopes are known",
    )

    status, called = web_box.post("web", CALL, key=key)

    assert (status, called["error"]["data"]["code"]) == (403, "insufficient_scope")
    assert web_box.post("web", LIST, key=key)[0] == 200


class _Kept:
    """What a client of the Python SDK keeps: that it is registered."""

    def __init__(self, issuer: str) -> None:
        self._info = OAuthClientInformationFull(
            client_id="sdk",
            redirect_uris=[CALLBACK],
            issuer=issuer,
        )

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None: ...

    async def get_client_info(self) -> OAuthClientInformationFull:
        return self._info

    async def set_client_info(
        self, client_info: OAuthClientInformationFull
    ) -> None: ...


class _SentToError(Exception):
    """Where the browser would have been sent."""


@pytest.fixture
def metadata_port() -> Iterator[int]:
    """Where the hub's metadata is, and nothing else of the hub."""

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/.well-known/oauth-authorization-server"
            issuer = f"http://127.0.0.1:{server.server_port}"
            body = json.dumps(authorization_server(issuer, registers=True)).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", free_port()), Hub) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


def test_the_python_sdk_finds_its_way_to_the_authorization_server(
    make_box: Callable[..., Box], metadata_port: int
) -> None:
    box = make_box(bind_port=metadata_port, gw_workers=1)
    url = f"{box.url}/servers/web/mcp"

    async def redirect(to: str) -> None:
        raise _SentToError(to)

    async def callback() -> Any:
        raise AssertionError("nobody came back")

    async def go() -> None:
        said = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="sdk")
        kept = _Kept(f"http://127.0.0.1:{metadata_port}")
        auth = OAuthClientProvider(url, said, kept, redirect, callback)
        async with httpx2.AsyncClient(auth=auth) as client:
            await client.post(url, json=LIST)

    with pytest.raises(_SentToError) as sent:
        asyncio.run(go())

    address = urlsplit(str(sent.value))
    asked = parse_qs(address.query)
    assert (address.port, address.path) == (metadata_port, "/oauth/authorize")
    assert asked["resource"] == [url]
    assert asked["scope"] == ["mcp:read mcp:call"]
    assert asked["code_challenge_method"] == ["S256"]


def test_a_stranger_who_names_a_key_has_little_read(
    web_box: Box, issuer: HomemadeIssuer
) -> None:
    stranger = HomemadeIssuer(issuer.issuer)
    shown = stranger.token(f"{web_box.url}/servers/web/mcp")

    status, headers, _ = answered(
        web_box,
        "/servers/web/mcp",
        CALL | {"filling": "x" * 200_000},
        Authorization=f"Bearer {shown}",
    )

    assert status == 401
    assert "not known" in headers["WWW-Authenticate"]
