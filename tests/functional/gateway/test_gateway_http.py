"""HTTP servers behind the gateway: what passes, what does not, and what happens when they misbehave."""

import json
import time
from collections.abc import Callable
from http.client import IncompleteRead
from urllib.request import Request, urlopen

import pytest

from tests.fakes.mcp_box import BOTH, Box, text_of, tool_call
from tests.harness.ports import free_port


def seen_by_server(box: Box, name: str, headers: dict[str, str]) -> dict[str, str]:
    answer = box.post(name, tool_call("headers"), key=box.key, headers=headers)[1]
    return {key.lower(): value for key, value in json.loads(text_of(answer)).items()}


def test_a_call_reaches_the_server_without_the_clients_credentials(
    box: Box, web_server: str
) -> None:
    box.host_http("web", f"{web_server}/mcp")

    seen = seen_by_server(
        box,
        "web",
        {
            "X-API-Key": "k",
            "Cookie": "a=b",
            "X-Gateway-Principal": "hub",
            "Proxy-Authorization": "x",
            "X-Forwarded-For": "1.2.3.4",
            "traceparent": "00-1",
            "MCP-Protocol-Version": "2025-06-18",
        },
    )

    assert not {
        "authorization",
        "x-api-key",
        "cookie",
        "x-gateway-principal",
        "proxy-authorization",
    } & set(seen)
    assert seen["traceparent"] == "00-1"
    assert seen["mcp-protocol-version"] == "2025-06-18"
    assert seen["host"] == web_server.removeprefix("http://")


def test_only_known_headers_come_back(box: Box, web_server: str) -> None:
    box.host_http("web", f"{web_server}/mcp")
    message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
    request = Request(
        f"{box.url}/servers/web/mcp",
        data=json.dumps(message).encode(),
        headers=BOTH | {"Authorization": f"Bearer {box.key}"},
    )

    with urlopen(request, timeout=10) as answer:
        assert "X-Secret" not in answer.headers
        assert "X-Gateway-Instance" not in answer.headers
        assert answer.headers["Mcp-Session-Id"] != "real-session"


def test_the_server_gets_its_own_session_id_back(box: Box, web_server: str) -> None:
    box.host_http("web", f"{web_server}/mcp")
    session = box.open_session("web", key=box.key)

    assert (
        seen_by_server(box, "web", {"Mcp-Session-Id": session})["mcp-session-id"]
        == "real-session"
    )


@pytest.mark.parametrize(
    "session",
    ["real-session", "real-session.", "real-session.AAAA", ".", "ü", "x" * 5000],
)
def test_a_session_id_that_was_not_signed_is_not_found(
    box: Box, web_server: str, session: str
) -> None:
    box.host_http("web", f"{web_server}/mcp")

    status, answer = box.post(
        "web", tool_call("headers"), key=box.key, headers={"Mcp-Session-Id": session}
    )

    assert status == 404
    assert answer["error"]["data"]["code"] == "session_not_found"


def test_a_session_is_useless_to_another_principal_and_at_another_server(
    box: Box, web_server: str
) -> None:
    box.host_http("other", f"{web_server}/mcp")
    other_key = box.key
    box.host_http("web", f"{web_server}/mcp")
    owner_key = box.add_user_key(box.owner)
    box.wait_routed("web")
    session = {"Mcp-Session-Id": box.open_session("web", key=box.key)}

    assert box.post("web", tool_call("headers"), key=box.key, headers=session)[0] == 200
    assert (
        box.post("web", tool_call("headers"), key=owner_key, headers=session)[0] == 404
    )
    assert (
        box.post("other", tool_call("headers"), key=other_key, headers=session)[0]
        == 404
    )
    assert (
        box.post("other", tool_call("headers"), key=box.internal_key, headers=session)[
            0
        ]
        == 404
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_events_arrive_when_they_are_sent(
    box: Box, web_server: str, method: str
) -> None:
    box.host_http("web", f"{web_server}/events")
    body = json.dumps(tool_call("x")).encode() if method == "POST" else None
    request = Request(
        f"{box.url}/servers/web/mcp",
        data=body,
        headers=BOTH | {"Authorization": f"Bearer {box.key}"},
        method=method,
    )

    started = time.monotonic()
    with urlopen(request, timeout=10) as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert b"first" in answer.readline()
        assert time.monotonic() - started < 0.7
        assert b"second" in answer.read()


def test_a_server_that_hangs_ends_in_504_with_the_requests_id(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(gw_timeout=1)
    box.host_http("web", f"{web_server}/hang")

    status, answer = box.post("web", tool_call("x", request_id="abc"), key=box.key)

    assert status == 504
    assert answer["id"] == "abc"
    assert answer["error"]["code"] == -32052
    assert "GW_TIMEOUT" in answer["error"]["message"]


def test_a_stream_that_never_answers_ends_with_an_error_event(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(gw_timeout=1)
    box.host_http("web", f"{web_server}/stream-and-hang")

    messages = box.events("web", tool_call("x", request_id=9), key=box.key)

    assert messages[-1]["id"] == 9
    assert messages[-1]["error"]["code"] == -32052


def test_get_streams_outlive_the_timeout(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(gw_timeout=0.5)
    box.host_http("web", f"{web_server}/events")

    with box.stream("web") as next_event:
        assert next_event()["method"] == "notifications/first"
        assert next_event()["method"] == "notifications/second"


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/redirect", (502, "307")),
        ("/unauthorized", (502, "401")),
        ("/nowhere", (502, "404")),
    ],
)
def test_answers_that_are_not_for_clients_are_not_passed_on(
    box: Box, web_server: str, path: str, answered: tuple[int, str]
) -> None:
    box.host_http("web", web_server + path)

    status, answer = box.post("web", tool_call("x"), key=box.key)

    assert status == answered[0]
    assert answered[1] in str(answer)
    assert "169.254" not in str(answer)


def test_an_answer_that_is_cut_off_does_not_pass_for_whole(
    box: Box, web_server: str
) -> None:
    box.host_http("web", f"{web_server}/cut")

    with pytest.raises(IncompleteRead):
        box.post("web", tool_call("x"), key=box.key)


def test_a_small_answer_that_is_cut_off_is_an_error(box: Box, web_server: str) -> None:
    box.host_http("web", f"{web_server}/cut?bytes=1000")

    status, answer = box.post("web", tool_call("x", request_id=4), key=box.key)

    assert (status, answer["id"]) == (502, 4)
    assert answer["error"]["data"]["code"] == "connection_lost"


def test_a_port_where_nothing_listens_says_so(box: Box) -> None:
    box.host_http("web", f"http://127.0.0.1:{free_port()}/mcp")

    status, answer = box.post("web", tool_call("x", request_id=3), key=box.key)

    assert status == 503
    assert answer["id"] == 3
    assert "does not accept connections" in answer["error"]["message"]


def test_a_call_that_is_faster_than_the_news_that_its_server_runs_is_carried(
    box: Box, web_server: str
) -> None:
    key = box.add_server("web", box.add_user(), status="starting")
    box.wait_routed("web")
    with box.one_transaction():
        # No trigger runs, so that nobody is told.
        box.execute("SET session_replication_role = replica")
        box.add_instance(
            "web", "streamable-http", container_id="c0ffee", address=f"{web_server}/mcp"
        )
        box.execute("UPDATE servers SET status = 'running' WHERE name = 'web'")

    status, answer = box.post("web", tool_call("headers"), key=key)

    assert status == 200, answer


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "2130706433",
    ],
)
def test_a_remote_address_that_is_private_is_not_called(box: Box, host: str) -> None:
    box.host_http("web", f"http://{host}:{box.port}/healthz", container_id="")

    status, answer = box.post("web", tool_call("x"), key=box.key)

    assert status == 503, answer


def test_a_private_remote_address_is_called_where_the_operator_allows_it(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(remote_allow_private=True)
    box.host_http("web", f"{web_server}/mcp", container_id="")

    assert box.post("web", tool_call("headers"), key=box.key)[0] == 200
