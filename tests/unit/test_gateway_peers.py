"""What the bridge says to servers and reads from them, without any server."""

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.peers import speech
from appliance.gateway.bridge.peers.events import Event, EventReader
from appliance.gateway.bridge.peers.param_headers import (
    BadMarkError,
    headers_of,
    marks_of,
)
from appliance.gateway.bridge.peers.sse_session import endpoint_address
from appliance.gateway.bridge.peers.wishes import Wishes
from appliance.gateway.errors import OverlongAnswerError
from appliance.gateway.protocol import discovery
from appliance.gateway.protocol.header_values import header_text, header_value
from appliance.gateway.protocol.wire import Envelope

STREAM = (
    b": hello\n\nevent: message\nid: 1\ndata: one\n\n"
    b"data: two\r\ndata: lines\r\n\r\nretry: 20\rdata:three\r\rid: 4\n\ndata: cut"
)
EVENTS = [
    Event("message", b"one", "1"),
    Event("message", b"two\nlines", "1"),
    Event("message", b"three", "1"),
]


def envelope(result: Any = None, error: Any = None) -> Envelope:
    said = Envelope()
    if result is not None:
        said.result = Raw(json.dumps(result).encode())
    if error is not None:
        said.error = Raw(json.dumps(error).encode())
    return said


def read(raw: Any) -> Any:
    return json.loads(bytes(raw))


# -- events


@given(st.lists(st.integers(1, len(STREAM) - 1)))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    reader = EventReader(1000)
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(edges)]

    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS
    assert (reader.last_id, reader.retry_ms) == ("4", 20)


def test_an_event_has_a_limit() -> None:
    reader = EventReader(100)
    for _ in range(12):
        list(reader.feed(b"data: x\n"))

    with pytest.raises(OverlongAnswerError):
        list(reader.feed(b"data: y\n"))


def test_a_line_has_a_limit_though_it_never_ends() -> None:
    with pytest.raises(OverlongAnswerError):
        list(EventReader(100).feed(b"data: " + b"x" * 200))


def test_a_long_line_in_crumbs_is_read_in_time() -> None:
    reader, began = EventReader(11 << 20), time.process_time()
    for _ in range(10 << 10):
        assert not list(reader.feed(b"x" * 1024))

    assert time.process_time() - began < 2


# -- headers


@given(st.text())
def test_what_is_wrapped_for_a_header_is_what_was_wrapped(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return  # half a character is no text
    text = header_text(value)

    assert header_value(text) == value
    assert text.isascii()
    assert text.isprintable()
    assert text == text.strip()


def test_marked_arguments_become_headers() -> None:
    schema = {
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {
                "properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry-Run"}}
            },
            "count": {"type": "integer", "x-mcp-header": "Count"},
        }
    }
    arguments = {"region": "Zürich", "deep": {"dry": True}, "count": None}

    assert sorted(headers_of(marks_of(schema), arguments)) == [
        ("Mcp-Param-Dry-Run", "true"),
        ("Mcp-Param-Region", "=?base64?WsO8cmljaA==?="),
    ]
    assert headers_of(marks_of(schema), "no object") == []


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "Root"},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": 1}}},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "A"},
                "b": {"type": "string", "x-mcp-header": "a"},
            }
        },
    ],
)
def test_a_mark_that_breaks_the_rules_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadMarkError):
        marks_of(schema)


def test_data_that_looks_like_a_mark_is_none() -> None:
    assert marks_of({"properties": {"a": {"default": {"x-mcp-header": "A"}}}}) == {}


# -- the stateless revision


def test_a_request_says_who_asks_and_repeats_what_it_is() -> None:
    caller = Caller("p", "s", {"sampling": {}}, {"name": "me", "version": "1"})
    params = {"name": "t\n", "_meta": Raw(b'{"progressToken":1}')}
    said = speech.request("tools/call", params, speech.meta_of(caller, "info"))

    assert read(said.params)["_meta"] == {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "me", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
        "io.modelcontextprotocol/logLevel": "info",
        "progressToken": 1,
    }
    assert speech.headers_of(said) == [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "=?base64?dAo=?="),
    ]


def test_questions_keep_their_names_and_get_what_older_clients_need() -> None:
    result = {
        "resultType": "input_required",
        "requestState": "s",
        "inputRequests": {
            "link": {
                "method": "elicitation/create",
                "params": {"mode": "url", "url": "https://x", "message": "go"},
            },
            "where": {"method": "roots/list"},
        },
    }
    questions = speech.questions_in(envelope(result))

    assert questions is not None
    assert questions.state == Raw(b'"s"')
    method, params = questions.asked["link"]
    assert method == "elicitation/create"
    assert read(params)["elicitationId"]
    assert read(params)["_meta"] == {"mcp-host/inputKey": "link"}
    assert questions.asked["where"][0] == "roots/list"


@pytest.mark.parametrize("result", [{"resultType": "complete"}, {"tools": []}, {}])
def test_a_result_without_questions_is_the_end(result: dict[str, Any]) -> None:
    assert speech.questions_in(envelope(result)) is None


def test_a_call_goes_on_with_its_answers_alone() -> None:
    params = {"name": "t", "inputResponses": {"old": 1}, "requestState": "old"}

    again = speech.answered(params, {"new": Raw(b"{}")}, None)

    assert again == {"name": "t", "inputResponses": {"new": Raw(b"{}")}}


def test_older_clients_are_spared_what_they_would_choke_on() -> None:
    tools = [
        {"name": "a", "outputSchema": {"type": "array"}},
        {"name": "b", "outputSchema": {"type": "object"}},
    ]
    listed = speech.in_older_words("tools/list", envelope({"tools": tools}))
    called = speech.in_older_words(
        "tools/call", envelope({"content": [], "structuredContent": [1]})
    )

    assert read(listed.result)["tools"] == [{"name": "a"}, tools[1]]
    assert read(called.result) == {"content": []}


def test_a_missing_resource_is_told_under_the_older_code() -> None:
    missing = {"code": -32602, "message": "no", "data": {"uri": "x"}}
    wrong = {"code": -32602, "message": "no"}

    found = [
        read(speech.in_older_words("resources/read", envelope(error=error)).error)
        for error in (missing, wrong)
    ]

    assert [error["code"] for error in found] == [-32002, -32602]


def test_a_server_without_the_stateless_revision_is_not_taken_for_one() -> None:
    assert discovery.opened_by(envelope({"supportedVersions": ["2025-11-25"]})) is None
    assert discovery.opened_by(envelope([])) is None
    assert discovery.opened_by(envelope(error={"code": -32601})) is None


# -- servers of HTTP+SSE


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("/messages?s=1", "http://127.0.0.1:9/messages?s=1"),
        ("messages", "http://127.0.0.1:9/messages"),
        ("http://169.254.169.254/latest?a", "http://127.0.0.1:9/latest?a"),
        ("//evil/x", "http://127.0.0.1:9/x"),
    ],
)
def test_requests_go_to_the_server_itself_whatever_it_names(
    named: str, address: str
) -> None:
    assert endpoint_address("http://127.0.0.1:9/sse", named) == address


# -- what several clients share


def test_the_server_hears_of_an_end_when_nobody_is_left() -> None:
    wishes = Wishes()
    one, two = Caller("p", "", listener="1"), Caller("p", "", listener="2")
    watched = Raw(b'{"uri":"x"}')
    for caller in (one, two):
        subscribe = Envelope(method="resources/subscribe", params=watched)
        assert wishes.onward(subscribe, caller) is subscribe

    assert wishes.forget(one) == []
    assert [method for method, _ in wishes.renewals()] == ["resources/subscribe"]
    assert [method for method, _ in wishes.forget(two)] == ["resources/unsubscribe"]
    assert wishes.renewals() == []
