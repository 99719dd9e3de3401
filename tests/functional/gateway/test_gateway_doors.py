"""Doors that must stay shut."""

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from appliance.gateway.edge.learning import PAUSE_S
from tests.fakes.mcp_box import BOTH, Box, stdio_container, tool_call, wait_until

CALL = tool_call("headers")


@pytest.fixture
def web_box(box: Box, web_server: str) -> Box:
    """A gateway before an HTTP server called ``web``."""
    box.host_http("web", f"{web_server}/mcp")
    return box


def test_without_a_key_every_name_is_answered_alike(web_box: Box) -> None:
    assert web_box.post("web", CALL) == web_box.post("nosuch", CALL)
    assert web_box.post("web", CALL)[0] == 401


def test_with_an_unknown_key_every_name_is_answered_alike(web_box: Box) -> None:
    assert web_box.post("web", CALL, key="mcps_wrong") == web_box.post(
        "nosuch", CALL, key="mcps_wrong"
    )
    assert web_box.post("web", CALL, key="mcps_wrong")[0] == 401


def test_a_key_of_another_server_does_not_tell_whether_this_one_exists(
    web_box: Box, web_server: str
) -> None:
    web_box.host_http("other", f"{web_server}/mcp")

    assert web_box.post("web", CALL, key=web_box.key) == web_box.post(
        "nosuch", CALL, key=web_box.key
    )
    assert web_box.post("web", CALL, key=web_box.key)[0] == 404


def test_the_challenge_says_bearer(web_box: Box) -> None:
    with (
        pytest.raises(HTTPError) as refused,
        urlopen(f"{web_box.url}/servers/web/mcp", timeout=5),
    ):
        pass
    refused.value.close()

    assert refused.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_opens_before_the_news_of_it_has_come(web_box: Box) -> None:
    time.sleep(PAUSE_S)  # nobody has had a worker read for a stranger since
    with web_box.one_transaction():
        web_box.execute("SET LOCAL session_replication_role = replica")  # no news
        key = web_box.add_user_key(web_box.owner)

    # So many that every worker has some of them.
    assert [web_box.post("web", CALL, key=key)[0] for _ in range(8)] == [200] * 8


def test_keys_of_users_open_what_they_should(web_box: Box) -> None:
    owner = web_box.add_user_key(web_box.owner)
    stranger = web_box.add_user_key(web_box.add_user())
    admin = web_box.add_user_key(web_box.add_user("admin"))
    expired = web_box.add_user_key(web_box.owner, "2020-01-01")
    web_box.wait_routed("web")

    opened = {
        name: web_box.post("web", CALL, key=key)[0]
        for name, key in locals().items()
        if isinstance(key, str)
    }

    assert opened == {"owner": 200, "stranger": 404, "admin": 200, "expired": 401}


def test_a_key_may_come_in_either_header(web_box: Box) -> None:
    assert web_box.post("web", CALL, headers={"X-API-Key": web_box.key})[0] == 200
    assert (
        web_box.post("web", CALL, headers={"Authorization": f"bearer {web_box.key}"})[0]
        == 200
    )
    assert (
        web_box.post("web", CALL, headers={"Authorization": f"Basic {web_box.key}"})[0]
        == 401
    )


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE users SET disabled_at = now()",
        "UPDATE api_keys SET expires_at = now()",
    ],
)
def test_a_revoked_key_stops_working_within_two_seconds(web_box: Box, sql: str) -> None:
    key = web_box.add_user_key(web_box.owner)
    wait_until(lambda: web_box.post("web", CALL, key=key)[0] == 200, "the key works")

    web_box.execute(sql)

    wait_until(
        lambda: all(web_box.post("web", CALL, key=key)[0] == 401 for _ in range(8)),
        "the key is dead",
        within_s=2,
    )


def give_to_org(box: Box, server: str) -> int:
    """Give a server to a new organisation without members."""
    org: int = box.execute(
        "INSERT INTO orgs (name, created_by) VALUES ('ours', 'x') RETURNING id"
    )
    box.execute("UPDATE servers SET org_id = %s WHERE name = %s", org, server)
    return org


def test_members_call_what_belongs_to_their_organisation(web_box: Box) -> None:
    """Within two seconds of joining, and no longer than two seconds after they left."""
    who = web_box.add_user()
    key, brought = web_box.add_user_key(who), web_box.add_user_key(web_box.owner)
    org = give_to_org(web_box, "web")

    def answers(to: str, status: int) -> None:
        wait_until(
            lambda: all(web_box.post("web", CALL, key=to)[0] == status for _ in "1234"),
            f"answered {status}",
            within_s=2,
        )

    answers(brought, 404)
    answers(key, 404)
    web_box.execute("INSERT INTO org_members VALUES (%s, %s, 'reader', 'x')", org, who)
    answers(key, 200)
    web_box.execute("DELETE FROM org_members WHERE user_id = %s", who)
    answers(key, 404)


def test_a_deleted_server_is_not_found_any_more(web_box: Box) -> None:
    web_box.execute("UPDATE servers SET desired_state = 'deleted'")

    # Each worker hears of it by itself, and any of them may answer.
    wait_until(
        lambda: all(
            web_box.post("web", CALL, key=web_box.internal_key)[0] == 404
            for _ in range(8)
        ),
        "the route is gone",
    )
    assert web_box.post("web", CALL, key=web_box.key)[0] == 401


def test_a_server_without_an_instance_says_what_it_is_doing(box: Box) -> None:
    key = box.add_server(
        "young", box.add_user(), status="building", reason="step 3 of 5"
    )
    box.wait_routed("young")

    status, answer = box.post("young", tool_call("x", request_id="q"), key=key)

    assert status == 503
    assert answer["id"] == "q"
    assert answer["error"]["message"] == "young is building: step 3 of 5"
    assert answer["error"]["data"] == {
        "code": "server_not_running",
        "status": "building",
        "status_reason": "step 3 of 5",
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://[bad"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://mcp.example.org"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost:4444"}, 200),
        ({"Host": "mcp.example.org"}, 200),
        # A page that made its name point here may add headers, too.
        ({"Host": "evil.example", "X-Forwarded-For": "1.2.3.4"}, 403),
    ],
)
def test_browsers_call_only_from_our_own_pages(
    make_box: Callable[..., Box], web_server: str, headers: dict[str, str], status: int
) -> None:
    box = make_box(public_url="https://mcp.example.org")
    box.host_http("web", f"{web_server}/mcp")

    assert box.post("web", CALL, key=box.key, headers=headers)[0] == status


@pytest.mark.parametrize(
    ("trusted", "scheme"), [("127.0.0.1", "https"), ("10.0.0.0/8", "http")]
)
def test_a_proxy_of_ours_alone_says_how_it_was_asked(
    make_box: Callable[..., Box], trusted: str, scheme: str
) -> None:
    box = make_box(trusted_proxies=trusted)
    asked = Request(
        f"{box.url}/.well-known/oauth-protected-resource/servers/web/mcp",
        headers={
            "Host": "localhost:4444",
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
        },
    )

    try:
        with urlopen(asked, timeout=5) as response:
            text = response.read().decode()
    except HTTPError as refused:
        text = refused.read().decode()
        refused.close()

    assert f"{scheme}://localhost:4444/servers/web/mcp" in text


def test_a_body_over_the_limit_is_refused_however_it_comes(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(gw_max_body_bytes=2000)
    box.host_http("web", f"{web_server}/mcp")
    large = json.dumps(tool_call("headers", {"x": "y" * 2000})).encode()
    chunked = Request(
        f"{box.url}/servers/web/mcp",
        data=iter([large]),
        headers=BOTH
        | {"Authorization": f"Bearer {box.key}", "Transfer-Encoding": "chunked"},
    )

    assert box.post("web", large, key=box.key)[0] == 413
    with pytest.raises(HTTPError) as refused, urlopen(chunked, timeout=5):
        pass
    refused.value.close()
    assert refused.value.code == 413
    assert box.post("web", CALL, key=box.key)[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"a\nb"}}', -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
    ],
)
def test_what_is_not_json_rpc_never_reaches_a_stdio_server(
    stdio_box: Box, body: bytes, code: int
) -> None:
    status, answer = stdio_box.post("fake", body, key=stdio_box.key)

    assert status == 400
    assert answer["error"]["code"] == code
    assert stdio_box.instance_state("fake")["calls_in_flight"] == 0


def test_a_client_cannot_write_a_second_line(stdio_box: Box) -> None:
    body = b'{"jsonrpc":"2.0","id":1,\r\n"method":"ping","params":{}\n\n}\n'

    status, answer = stdio_box.post("fake", body, key=stdio_box.key)

    assert (status, answer["result"]) == (200, {})


def test_an_ended_session_is_not_found(stdio_box: Box) -> None:
    session = {"Mcp-Session-Id": stdio_box.open_session("fake")}
    end = Request(
        f"{stdio_box.url}/servers/fake/mcp",
        headers=session | {"Authorization": f"Bearer {stdio_box.internal_key}"},
        method="DELETE",
    )

    with urlopen(end, timeout=5) as answer:
        assert answer.status == 200

    assert (
        stdio_box.post("fake", CALL, key=stdio_box.internal_key, headers=session)[0]
        == 404
    )


def test_the_bridge_is_reached_by_this_user_alone(box: Box) -> None:
    socket_path = Path(box.config.bridge_socket)

    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE((socket_path.parent / "bridge").stat().st_mode) == 0o700
    assert socket_path.stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/servers",
        "/servers/web",
        "/servers/../instances/x/mcp",
        "/instances/0/mcp",
    ],
)
def test_nothing_else_is_served(web_box: Box, path: str) -> None:
    assert web_box.get(path)[0] == 404


def test_metrics_are_for_this_box_alone(web_box: Box) -> None:
    web_box.post("web", CALL, key=web_box.key)

    status, text = web_box.get("/metrics")

    assert status == 200
    assert 'mcp_gateway_calls_total{outcome="ok"}' in text
    assert web_box.get("/metrics", {"X-Forwarded-For": "1.2.3.4"})[0] == 404


def test_keys_are_not_in_the_log(make_box: Callable[..., Box], web_server: str) -> None:
    box = make_box(log_level="debug")
    box.host_http("web", f"{web_server}/mcp")
    box.post("web", CALL, key=box.key)
    box.post("web", CALL, key="mcps_wrong")

    log = box.log.read_text()

    assert '"event":"call"' in log
    for secret in (box.key, box.internal_key, "mcps_wrong", "a secret for tests"):
        assert secret not in log


@pytest.mark.parametrize("kind", ["stdio", "http"])
def test_a_tool_off_the_list_is_neither_listed_nor_called(
    box: Box, web_server: str, kind: str
) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with stdio_container() as container_id:
        allowed, refused = ("echo", "die") if kind == "stdio" else ("headers", "other")
        if kind == "stdio":
            box.host_stdio("some", container_id, tools=[allowed])
        else:
            box.host_http("some", f"{web_server}/mcp", tools=[allowed])

        listed = box.post("some", listing, key=box.key)[1]["result"]["tools"]
        sneaky = b'{"jsonrpc":"2.0","id":2,"method":"ping","method":"tools/call","params":{"name":"%b","name":"%b"}}'
        answers = [
            box.post("some", tool_call(refused, request_id=2), key=box.key)[1],
            box.post(
                "some", sneaky % (allowed.encode(), refused.encode()), key=box.key
            )[1],
        ]

        assert [tool["name"] for tool in listed] == [allowed]
        for answer in answers:
            assert answer["id"] == 2
            assert answer["error"]["message"] == f"Unknown tool: {refused}"
        assert "result" in box.post("some", tool_call(allowed), key=box.key)[1]
        batch = b"[%b]" % json.dumps(tool_call(refused)).encode()
        assert box.post("some", batch, key=box.key)[0] == 400


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(web_box: Box) -> None:
    body = json.dumps(CALL).encode()
    head = (
        f"POST /servers/web/mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {web_box.key}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", web_box.port), timeout=5) as connection:
        connection.sendall(head.encode())

        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")

        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
