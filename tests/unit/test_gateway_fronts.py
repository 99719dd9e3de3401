"""The rules of the bridge's clients' side: what may be asked, who hears what, what a state is good for."""

import asyncio
import contextlib
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from appliance.gateway.bridge.belongings import Belongings
from appliance.gateway.bridge.calls import Ask, Call, Caller, Stream
from appliance.gateway.bridge.fronts import modern_answers, parking
from appliance.gateway.bridge.fronts.asked import LIMIT, Asked
from appliance.gateway.bridge.fronts.marked import MarkedTools
from appliance.gateway.bridge.fronts.parking import Parked, Parking, Purpose
from appliance.gateway.bridge.fronts.subscriptions import honoured
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.questions import whom
from appliance.gateway.bridge.subscribers import Subscribers
from appliance.gateway.bridge.traffic import Traffic
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.capabilities import lacking
from appliance.gateway.protocol.levels import LEVELS, LogLevels, reaches
from appliance.gateway.protocol.modern import RefusalError
from appliance.gateway.protocol.wire import Envelope

ANNA, BEN = Caller("user:1", "s1"), Caller("user:2", "s2")
STATELESS = Caller("user:1")


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def a_call(caller: Caller = ANNA, method: str = "tools/call") -> Call:
    return Call(caller, b"1", method, b'"w-1"', None)


def an_ask(
    method: str = "elicitation/create", params: Any = None, key: str = "k"
) -> tuple[Ask, list[Envelope]]:
    replies: list[Envelope] = []
    return Ask(key, method, raw(params or {}), replies.append), replies


# -- what a client can be asked


@pytest.mark.parametrize(
    ("method", "params", "capabilities", "missing"),
    [
        ("sampling/createMessage", {}, {}, {"sampling": {}}),
        ("sampling/createMessage", {}, {"sampling": {}}, {}),
        (
            "sampling/createMessage",
            {"tools": []},
            {"sampling": {}},
            {"sampling": {"tools": {}}},
        ),
        (
            "sampling/createMessage",
            {"tools": []},
            {"sampling": {"tools": {}}},
            {},
        ),
        ("elicitation/create", {}, {}, {"elicitation": {}}),
        ("elicitation/create", {}, {"elicitation": {}}, {}),
        ("elicitation/create", {"mode": "form"}, {"elicitation": {"form": {}}}, {}),
        (
            "elicitation/create",
            {},
            {"elicitation": {"url": {}}},
            {"elicitation": {"form": {}}},
        ),
        (
            "elicitation/create",
            {"mode": "url"},
            {"elicitation": {}},
            {"elicitation": {"url": {}}},
        ),
        ("elicitation/create", {"mode": "url"}, {"elicitation": {"url": {}}}, {}),
        ("roots/list", {}, {}, {"roots": {}}),
        ("roots/list", {}, {"roots": {"listChanged": True}}, {}),
        ("roots/list", {}, {"roots": None}, {"roots": {}}),
    ],
)
def test_a_client_is_asked_only_what_it_can_answer(
    method: str, params: Any, capabilities: Any, missing: Any
) -> None:
    assert lacking(method, raw(params), capabilities) == missing


def test_a_call_on_shared_pipes_is_told_where_it_can_be_and_nowhere_else() -> None:
    anna, other_anna, ben = a_call(ANNA), a_call(ANNA), a_call(BEN)
    first, second = a_call(STATELESS), a_call(STATELESS)

    assert whom([]) is None
    assert whom([anna]) is anna
    assert whom([anna, other_anna]) is other_anna
    assert whom([anna, ben]) is None
    assert whom([first, second]) is None
    assert whom([first, second], [first]) is second
    assert whom([anna, ben], [anna]) is None


# -- what was asked


async def test_a_question_is_answered_by_whom_it_was_put_to_and_once() -> None:
    asked = Asked(10)
    ask, replies = an_ask()
    able = Caller("user:1", "s1", {"elicitation": {}})
    sent = json.loads(asked.put(ask, able) or b"")
    answer = Envelope(id=raw(sent["id"]), result=raw({}))

    assert not asked.answer(answer, BEN)
    assert not asked.answer(answer, Caller("user:1", "another"))
    assert asked.answer(answer, able)
    assert not asked.answer(answer, able)
    assert len(replies) == 1


async def test_a_question_expires_and_a_session_has_so_many_of_them() -> None:
    asked = Asked(0.01)
    able = Caller("user:1", "s1", {"elicitation": {}})
    asks = [an_ask(key=str(number)) for number in range(LIMIT + 1)]

    shown = [asked.put(ask, able) for ask, _ in asks]
    at_once = [len(replies) for _, replies in asks]
    await asyncio.sleep(0.05)

    assert shown[-1] is None
    assert at_once == [0] * LIMIT + [1]
    assert all(replies[0].error is not UNSET for _, replies in asks)


async def test_what_nobody_will_answer_is_refused_when_the_session_ends() -> None:
    asked = Asked(10)
    able = Caller("user:1", "s1", {"elicitation": {}})
    ask, replies = an_ask()
    asked.put(ask, able)

    asked.end_session(BEN)
    assert not replies
    asked.end_session(able)
    assert len(replies) == 1


def test_a_server_of_ones_own_asks_on_the_stream_between_calls() -> None:
    lines: list[bytes] = []
    traffic = Traffic(ANNA, lines.append)
    message = wire.decode_line(
        b'{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}'
    )

    traffic.receive(message)
    stream = traffic.open_stream(ANNA)
    traffic.receive(message)
    item = stream._queue.get_nowait()
    assert isinstance(item, Ask)
    item.reply(Envelope(result=raw({"action": "decline"})))

    refused, answered = map(json.loads, lines)
    assert refused["error"]["code"] == wire.METHOD_NOT_FOUND
    assert answered == {"jsonrpc": "2.0", "id": 7, "result": {"action": "decline"}}


def test_a_server_of_ones_own_asks_for_the_latest_call_that_is_not_waiting() -> None:
    traffic = Traffic(STATELESS)
    message = '{"jsonrpc":"2.0","id":%d,"method":"elicitation/create","params":{}}'
    ping = Envelope(id=Raw(b"1"), method="tools/call")
    first, second = (traffic.begin(ping, STATELESS)[0] for _ in range(2))

    for number in range(3):
        traffic.receive(wire.decode_line((message % number).encode()))

    # The third is one of several at once, of the call that asked last.
    assert (len(first.asks), len(second.asks)) == (1, 2)


# -- what waits for its client


class _Nobody:
    def __init__(self) -> None:
        self.abandoned: list[Call] = []

    def abandon(self, call: Call) -> None:
        self.abandoned.append(call)


PURPOSE = Purpose("user:1", ("server", 1), "tools/call", "ask")


def parked(purpose: Purpose = PURPOSE) -> tuple[Parked, _Nobody, list[Envelope]]:
    peer = _Nobody()
    ask, replies = an_ask()
    call = Parked(
        a_call(STATELESS),
        cast(Peer, peer),
        purpose,
        contextlib.ExitStack(),
        {"k": ask},
    )
    return call, peer, replies


@pytest.mark.parametrize(
    "other",
    [
        Purpose("user:2", ("server", 1), "tools/call", "ask"),
        Purpose("user:1", ("server", 2), "tools/call", "ask"),
        Purpose("user:1", ("server", 1), "prompts/get", "ask"),
        Purpose("user:1", ("server", 1), "tools/call", "other"),
    ],
)
async def test_a_state_is_good_for_its_purpose_alone_and_once(other: Purpose) -> None:
    lot = Parking()
    call, _, _ = parked()
    state = lot.park(call)

    assert lot.take(state, other) is None
    assert lot.take(state + "x", PURPOSE) is None
    assert lot.take(state, PURPOSE) is call
    assert lot.take(state, PURPOSE) is None


async def test_one_principal_cannot_crowd_out_the_others() -> None:
    lot = Parking()
    bens = lot.park(parked(Purpose("user:2", 1, "tools/call", "t"))[0])
    first, peer, replies = parked()
    lot.park(first)

    for _ in range(parking.PRINCIPAL_LIMIT):
        lot.park(parked()[0])

    assert peer.abandoned == [first.call]
    assert replies[0].error is not UNSET
    assert lot.take(bens, Purpose("user:2", 1, "tools/call", "t")) is not None
    lot.close()


def test_only_objects_are_answers() -> None:
    call, _, replies = parked()

    call.answer({"k": Raw(b"7"), "other": Raw(b"{}")})
    assert not replies
    call.answer({"k": Raw(b'{"action":"accept"}')})
    assert bytes(replies[0].result) == b'{"action":"accept"}'  # type: ignore[arg-type]


# -- levels, subscriptions, tasks


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(LEVELS)), min_size=1))
def test_the_server_is_told_the_lowest_level_and_each_hears_its_own(
    wishes: list[tuple[int, str]],
) -> None:
    levels = LogLevels()
    told = [levels.set(client, raw({"level": level})) for client, level in wishes][-1]
    last = dict(wishes)

    assert json.loads(bytes(cast(Raw, told))) == {
        "level": min(last.values(), key=LEVELS.index)
    }
    for level in LEVELS:
        for client, wanted in last.items():
            is_wanted = levels.wants(client, raw({"level": level}))
            assert is_wanted == reaches(level, wanted)
    assert levels.wants("whoever never said", raw({"level": "debug"}))


def test_a_level_for_one_call_lowers_the_servers_only_where_it_must() -> None:
    levels = LogLevels()

    assert levels.lower("warning") is not None
    assert levels.lower("error") is None
    assert levels.lower("debug") is not None
    assert levels.lower("nonsense") is None


def test_the_server_is_asked_to_stop_when_the_last_has_left() -> None:
    subscribers = Subscribers()
    uri = raw({"uri": "a:1"})
    for caller in (ANNA, BEN):
        assert subscribers.needs("resources/subscribe", uri, caller)

    assert not subscribers.needs("resources/unsubscribe", uri, ANNA)
    assert subscribers.of(uri) == {BEN}
    assert [bytes(item) for item in subscribers.forget(BEN)] == [b'{"uri":"a:1"}']
    assert list(subscribers.params()) == []


def test_a_subscription_hears_of_what_it_named_and_the_server_announces() -> None:
    opened = {"capabilities": {"tools": {"listChanged": True}, "resources": {}}}
    wanted = {
        "toolsListChanged": True,
        "promptsListChanged": True,
        "resourceSubscriptions": ["a:1"],
    }

    tools = honoured(b"7", wanted, opened)
    opened["capabilities"]["resources"] = {"subscribe": True}
    both = honoured(b"7", wanted, opened)

    def is_shown(method: str, params: Any) -> bool:
        body = wire.encode(Envelope(method=method, params=raw(params)))
        return both.shown(body) is not None

    granted = json.loads(tools.acknowledgement)["params"]["notifications"]
    assert granted == {"toolsListChanged": True}
    assert is_shown("notifications/tools/list_changed", {})
    assert not is_shown("notifications/prompts/list_changed", {})
    assert is_shown("notifications/resources/updated", {"uri": "a:1"})
    assert not is_shown("notifications/resources/updated", {"uri": "a:2"})
    assert not is_shown("notifications/message", {"level": "info"})


def test_an_elicitation_that_ends_elsewhere_is_told_to_whom_it_was_put() -> None:
    belongings = Belongings()
    ask, _ = an_ask(params={"mode": "url", "elicitationId": "e1"})
    belongings.asked(ask, ANNA)
    belongings.asked(ask, BEN)

    def told(elicitation_id: str) -> Caller | None:
        return belongings.owner(
            Envelope(
                method="notifications/elicitation/complete",
                params=raw({"elicitationId": elicitation_id}),
            )
        )

    assert told("e1") == ANNA
    assert told("e2") is None


# -- as the newer era has it


def answered(method: str, *, result: Any = UNSET, error: Any = UNSET) -> Call:
    call = a_call(STATELESS, method)
    call.finish(
        answer=Envelope(
            result=UNSET if result is UNSET else raw(result),
            error=UNSET if error is UNSET else raw(error),
        )
    )
    return call


def test_a_page_to_be_visited_first_becomes_a_question() -> None:
    error = {
        "code": -32042,
        "message": "Sign in.",
        "data": {
            "elicitations": [
                {
                    "mode": "url",
                    "elicitationId": "e1",
                    "url": "https://x",
                    "message": "m",
                }
            ]
        },
    }
    call = answered("tools/call", error=error)

    able = modern_answers.error_of(call, {"elicitation": {"url": {}}}, {})
    unable = modern_answers.error_of(call, {}, {})

    assert json.loads(able.body)["result"] == {
        "resultType": "input_required",
        "inputRequests": {
            "e1": {
                "method": "elicitation/create",
                "params": {"mode": "url", "url": "https://x", "message": "m"},
            }
        },
    }
    assert unable.status == 400
    assert json.loads(unable.body)["error"]["code"] == wire.MISSING_CAPABILITY


@pytest.mark.parametrize(
    ("code", "shown", "status"),
    [(-32002, -32602, 400), (-32601, -32601, 404), (-32000, -32000, 200)],
)
def test_errors_have_the_newer_eras_codes_and_statuses(
    code: int, shown: int, status: int
) -> None:
    call = answered("resources/read", error={"code": code, "message": "m"})

    told = modern_answers.error_of(call, {}, {})

    assert (json.loads(told.body)["error"]["code"], told.status) == (shown, status)


def test_results_name_the_server_and_keep_what_they_had() -> None:
    call = answered("tools/list", result={"tools": [], "_meta": {"x": 1}})

    result = json.loads(modern_answers.result_of(call, {"name": "s"}).body)["result"]

    assert result == {
        "tools": [],
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"x": 1, modern.SERVER_INFO: {"name": "s"}},
    }


def test_a_question_loses_what_the_newer_era_does_not_know() -> None:
    params = {
        "message": "m",
        "elicitationId": "e1",
        "_meta": {"mcp-host/inputKey": "user_name", "progressToken": 1, "own": 2},
    }
    ask, _ = an_ask(params=params)

    assert modern_answers.key_of(ask) == "user_name"
    told = json.loads(wire.encode(modern_answers.question(ask)))
    assert told["params"] == {"message": "m", "_meta": {"own": 2}}


SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
    },
}


@pytest.mark.parametrize(
    ("arguments", "headers", "agree"),
    [
        ({"region": "eu"}, {"Mcp-Param-Region": "eu"}, True),
        ({"region": "eu"}, {"Mcp-Param-Region": "us"}, False),
        ({"region": "eu"}, {}, False),
        ({}, {"Mcp-Param-Region": "eu"}, False),
        ({}, {}, True),
        ({"region": "世"}, {"Mcp-Param-Region": "=?base64?5LiW?="}, True),
        ({"region": "世"}, {"Mcp-Param-Region": "=?base64?5LiX?="}, False),
        ({"region": "eu"}, {"Mcp-Param-Region": "=?base64?!?="}, False),
        ({"count": 42}, {"Mcp-Param-Count": "42.0"}, True),
        ({"count": 42}, {"Mcp-Param-Count": "43"}, False),
    ],
)
def test_marked_arguments_and_their_headers_must_agree(
    arguments: Any,
    headers: dict[str, str],
    agree: bool,  # noqa: FBT001
) -> None:
    tools = MarkedTools()
    tools.learn("here", raw({"tools": [{"name": "t", "inputSchema": SCHEMA}]}))
    asked = call_of("t", arguments)

    if agree:
        tools.check("here", asked, headers)
    else:
        with pytest.raises(RefusalError):
            tools.check("here", asked, headers)
    tools.check("elsewhere", asked, headers)


def test_marks_that_a_server_took_back_are_forgotten() -> None:
    tools = MarkedTools()
    tools.learn("here", raw({"tools": [{"name": "t", "inputSchema": SCHEMA}]}))
    tools.learn("here", raw({"tools": [{"name": "t", "inputSchema": {}}]}))

    tools.check("here", call_of("t", {"region": "eu"}), {})


def call_of(tool: str, arguments: Any) -> modern.Modern:
    meta = {modern.PROTOCOL_VERSION: "2026-07-28", modern.CLIENT_CAPABILITIES: {}}
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    request = Envelope(id=Raw(b"1"), method="tools/call", params=raw(params))
    headers = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ]
    return modern.read_modern(request, headers)


# -- batches


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', 1),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 1),
        (b' [{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]', 2),
        (b"[]", 0),
        (b"[1]", 0),
        (b"[", 0),
        (b"[" + b'{"method":"a"},' * wire.BATCH_LIMIT + b'{"method":"a"}]', 0),
    ],
)
def test_a_batch_is_its_messages_or_an_error(body: bytes, count: int) -> None:
    if count:
        assert len(wire.decode_batch(body)) == count
    else:
        with pytest.raises(wire.WireError):
            wire.decode_batch(body)


async def test_a_stream_that_is_gone_answers_for_its_client() -> None:
    stream = Stream(ANNA)
    stream.close()
    ask, replies = an_ask()

    stream.put(ask)

    assert replies[0].error is not UNSET
