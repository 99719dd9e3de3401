"""Calls that workers carry straight to a server over HTTP: rules, limits, traces, sessions, and the wire below."""

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mcp_box import ROOT, Box, text_of, tool_call, wait_until
from tests.functional.gateway.conftest import accepts
from tests.harness.ports import free_port

VERSION = "io.modelcontextprotocol/protocolVersion"
MODERN = {
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "headers",
}


@pytest.fixture
def web_box(box: Box, web_server: str) -> Box:
    """A gateway before an HTTP server called ``web``, which speaks whatever it is spoken to in."""
    box.host_http("web", f"{web_server}/both")
    return box


@pytest.fixture
def forgetful() -> Iterator[str]:
    """The address of a server that forgets sessions when it is told to."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_forgetful", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(port), "the server listens")
        yield f"http://127.0.0.1:{port}/404"
        server.kill()


def modern_call(version: str = "2026-07-28", name: str = "headers") -> dict[str, Any]:
    call: dict[str, Any] = tool_call(name)
    call["params"]["_meta"] = {
        VERSION: version,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    return call


def test_a_modern_call_reaches_a_server_of_its_era_as_it_is(web_box: Box) -> None:
    status, answer = web_box.post("web", modern_call(), key=web_box.key, headers=MODERN)

    seen = {key.lower(): value for key, value in json.loads(text_of(answer)).items()}
    assert status == 200
    assert seen["mcp-name"] == "headers"
    assert seen["mcp-protocol-version"] == "2026-07-28"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"MCP-Protocol-Version": "2025-11-25"}, -32020),
        ({"Mcp-Method": "tools/list"}, -32020),
        ({"Mcp-Method": ""}, -32020),
        ({"Mcp-Name": "other"}, -32020),
        ({"Mcp-Name": "=?base64?b3RoZXI=?="}, -32020),
        ({"Mcp-Name": "=?base64?!?="}, -32020),
    ],
)
def test_header_and_body_must_agree(
    web_box: Box, changed: dict[str, str], code: int
) -> None:
    status, answer = web_box.post(
        "web", modern_call(), key=web_box.key, headers=MODERN | changed
    )

    assert (status, answer["error"]["code"]) == (400, code)
    assert answer["id"] == tool_call("x")["id"]


def test_a_name_may_come_wrapped(web_box: Box) -> None:
    packed = base64.b64encode(b"headers").decode()
    headers = MODERN | {"Mcp-Name": f"=?base64?{packed}?="}

    assert (
        web_box.post("web", modern_call(), key=web_box.key, headers=headers)[0] == 200
    )


@pytest.mark.parametrize("version", ["2030-01-01", "x"])
def test_an_unknown_version_is_told_which_there_are(web_box: Box, version: str) -> None:
    headers = MODERN | {"MCP-Protocol-Version": version}

    for call in (modern_call(version), tool_call("headers")):
        status, answer = web_box.post("web", call, key=web_box.key, headers=headers)

        assert (status, answer["error"]["code"]) == (400, -32022)
        assert answer["error"]["data"]["requested"] == version
        assert "2026-07-28" in answer["error"]["data"]["supported"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_modern_era_knows_only_post(web_box: Box, method: str) -> None:
    answer = raw(
        web_box,
        f"{method} /servers/web/mcp HTTP/1.1\r\nMCP-Protocol-Version: 2026-07-28\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST\r\n" in answer


def test_a_session_that_its_server_forgot_goes_on_in_another(
    box: Box, forgetful: str
) -> None:
    box.host_http("web", forgetful)
    session = {"Mcp-Session-Id": box.open_session("web", key=box.key)}
    assert box.post("web", tool_call("say"), key=box.key, headers=session)[0] == 200
    box.post("web", tool_call("forget"), key=box.key, headers=session)

    for _ in range(8):  # whichever worker answers
        status, answer = box.post("web", tool_call("say"), key=box.key, headers=session)
        assert status == 200, answer
        assert "opened 2" in text_of(answer) or "opened 3" in text_of(answer)


def test_a_session_that_its_client_ended_is_not_opened_anew(
    box: Box, forgetful: str
) -> None:
    box.host_http("web", forgetful)
    session = {"Mcp-Session-Id": box.open_session("web", key=box.key)}
    assert box.post("web", tool_call("say"), key=box.key, headers=session)[0] == 200

    end = f"DELETE /servers/web/mcp HTTP/1.1\r\nMcp-Session-Id: {session['Mcp-Session-Id']}\r\n"
    raw(box, end)
    box.post("web", tool_call("forget"), key=box.key, headers=session)

    for _ in range(8):  # whichever worker answers
        status, _ = box.post("web", tool_call("say"), key=box.key, headers=session)
        assert status == 404


def test_a_server_takes_as_many_calls_as_its_owner_says(
    box: Box, web_server: str
) -> None:
    box.host_http("web", f"{web_server}/both")
    config = json.dumps({"limits": {"calls_per_second": 2, "body_bytes": 500}})
    box.execute("UPDATE servers SET config = %s WHERE name = 'web'", config)
    call = tool_call("headers")
    wait_until(
        lambda: 429 in {box.post("web", call, key=box.key)[0] for _ in range(6)},
        "the limit is known",
    )

    refused = [
        answer
        for status, answer in (box.post("web", call, key=box.key) for _ in range(6))
        if status == 429
    ]

    assert refused[0]["error"]["data"]["code"] == "limited"
    assert "2 calls a second" in refused[0]["error"]["message"]
    large = tool_call("headers", {"x": "y" * 600})
    wait_until(
        lambda: box.post("web", large, key=box.key)[0] == 413, "the body is too large"
    )


def test_every_call_is_a_row_and_says_how_it_went(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box()
    box.host_http("web", f"{web_server}/both")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    box.post("web", tool_call("headers"), key=box.key, headers={"traceparent": trace})
    box.post("web", tool_call("fail"), key=box.key)
    box.post("web", {"jsonrpc": "2.0", "id": 1, "method": "no/such"}, key=box.key)

    def rows() -> Any:
        return box.execute(
            "SELECT json_agg(json_build_array(method, target, http_status, error_class,"
            " rpc_code, traceparent, principal) ORDER BY started_at) FROM invocations"
            " WHERE principal <> 'hub'"
        )

    wait_until(lambda: rows() is not None and len(rows()) == 3, "every call is a row")

    server = box.execute("SELECT id FROM servers")
    assert rows() == [
        ["tools/call", "headers", 200, "", None, trace, f"server:{server}"],
        ["tools/call", "fail", 200, "tool_error", None, "", f"server:{server}"],
        ["no/such", "", 200, "rpc_error", -32601, "", f"server:{server}"],
    ]


# -- the wire


def raw(box: Box, lines: str, body: bytes = b"", *, wait_s: float = 5) -> bytes:
    """Send a request as it is written here, with the key, and return all that comes back until the connection ends."""
    head = f"{lines}Host: localhost\r\nAuthorization: Bearer {box.key}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", box.port), timeout=wait_s) as client:
        client.sendall(head.encode() + body)
        return drained(client)


def drained(client: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    found = b""
    while piece := client.recv(65536):
        found += piece
    return found


def request(box: Box, number: int, *, close: bool = False) -> bytes:
    body = json.dumps(tool_call("headers", request_id=number)).encode()
    return (
        f"POST /servers/web/mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {box.key}\r\n"
        f"{'Connection: close' if close else 'X-A: b'}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def test_pipelined_calls_are_answered_in_order(web_box: Box) -> None:
    with socket.create_connection(("127.0.0.1", web_box.port), timeout=10) as client:
        sent = [request(web_box, number) for number in range(30)]
        client.sendall(b"".join([*sent, request(web_box, 30, close=True)]))
        answers = drained(client)

    bodies = [
        part.rpartition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 ")[1:]
    ]
    assert [json.loads(body)["id"] for body in bodies] == list(range(31))


def test_a_call_in_single_bytes_is_a_call(web_box: Box) -> None:
    with socket.create_connection(("127.0.0.1", web_box.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(web_box, 1, close=True):
            client.sendall(bytes([byte]))

        assert b'"id":1' in drained(client).replace(b" ", b"")


def test_a_client_of_http_1_0_gets_a_stream_that_ends_with_the_connection(
    box: Box, web_server: str
) -> None:
    box.host_http("web", f"{web_server}/events")

    answer = raw(box, "GET /servers/web/mcp HTTP/1.0\r\nAccept: text/event-stream\r\n")

    assert b"Transfer-Encoding" not in answer
    assert answer.rstrip().endswith(b'notifications/second"}')


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"400",
        ),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000, b"431"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_told_so_and_hung_up_on(
    web_box: Box, text: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", web_box.port), timeout=10) as client:
        client.sendall(text)
        answer = drained(client)

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_a_client_that_closes_its_half_in_mid_request_has_asked_nothing(
    web_box: Box,
) -> None:
    with socket.create_connection(("127.0.0.1", web_box.port), timeout=10) as client:
        client.sendall(request(web_box, 1)[:-3])
        client.shutdown(socket.SHUT_WR)

        assert drained(client) == b""


def test_idle_connections_end_by_themselves(
    make_box: Callable[..., Box], web_server: str
) -> None:
    box = make_box(gw_keepalive=1)
    box.host_http("web", f"{web_server}/both")
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as client:
        client.sendall(request(box, 1))
        started = time.monotonic()

        assert b"200 OK" in drained(client)
        assert time.monotonic() - started < 5


def test_a_slow_reader_of_a_large_answer_holds_little_and_gets_all(
    box: Box, web_server: str
) -> None:
    box.host_http("web", f"{web_server}/large")
    with socket.create_connection(("127.0.0.1", box.port), timeout=20) as client:
        client.sendall(request(box, 1, close=True))
        time.sleep(1)
        held = sum(_memory_mb(box.children()[f"worker-{n}"]) for n in (0, 1))
        answer = drained(client)

    assert len(answer.rpartition(b"\r\n\r\n")[2]) == 32 << 20
    assert held < 80


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return (
        next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    )
