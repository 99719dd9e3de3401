"""Who gets what a shared server says. No sockets; what the server would say is made up here."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.bridge.calls import WAITING_LIMIT, Call, Caller, Stream
from appliance.gateway.bridge.frames import Overlong
from appliance.gateway.bridge.traffic import Traffic
from appliance.gateway.protocol import wire

ANNA, BEN = Caller("user:1", "s1"), Caller("user:2", "s2")


def request(
    method: str = "tools/call", request_id: Any = 1, **params: Any
) -> wire.Envelope:
    return wire.decode_body(
        json.dumps(
            {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        ).encode()
    )


def says(traffic: Traffic, **message: Any) -> None:
    traffic.receive(
        wire.decode_line(json.dumps({"jsonrpc": "2.0", **message}).encode())
    )


def begin(
    traffic: Traffic, caller: Caller, *arguments: Any, **params: Any
) -> tuple[Call, Any]:
    call, line = traffic.begin(request(*arguments, **params), caller)
    return call, json.loads(line)


async def heard(stream: Stream) -> list[Any]:
    stream.close()
    found = []
    while (body := await stream.get()) is not None:
        assert isinstance(body, bytes)
        found.append(json.loads(body))
    return found


@given(
    st.permutations(range(6)),
    st.lists(st.integers(0, 3) | st.text(max_size=3), min_size=6, max_size=6),
)
def test_answers_in_any_order_reach_their_calls_under_the_clients_ids(
    order: list[int], ids: list[Any]
) -> None:
    traffic = Traffic()
    calls = [
        begin(traffic, ANNA if number % 2 else BEN, "tools/call", ids[number])
        for number in range(6)
    ]

    for number in order:
        says(traffic, id=calls[number][1]["id"], result={"number": number})

    answers = [json.loads(call.answer_body()) for call, _ in calls]
    assert answers == [
        {"jsonrpc": "2.0", "id": ids[number], "result": {"number": number}}
        for number in range(6)
    ]
    assert traffic.in_flight == 0


def test_no_two_attachments_use_the_same_ids() -> None:
    assert begin(Traffic(), ANNA)[1]["id"] != begin(Traffic(), ANNA)[1]["id"]


def test_an_answer_to_nobody_is_counted_and_dropped() -> None:
    traffic = Traffic()
    call, _ = begin(traffic, ANNA)

    says(traffic, id=1, result={})
    says(traffic, id=None, error={"code": 1, "message": "x"})

    assert traffic.dropped == 2
    assert not call.is_over


def test_progress_reaches_the_call_of_its_token_alone() -> None:
    traffic = Traffic()
    anna, sent = begin(traffic, ANNA, _meta={"progressToken": 7, "kept": True})
    ben, _ = begin(traffic, BEN, _meta={"progressToken": 7})
    token = sent["params"]["_meta"]["progressToken"]

    says(
        traffic,
        method="notifications/progress",
        params={"progressToken": token, "progress": 1},
    )
    says(
        traffic,
        method="notifications/progress",
        params={"progressToken": 7, "progress": 9},
    )

    assert [json.loads(note)["params"] for note in anna.take_notes()] == [
        {"progressToken": 7, "progress": 1}
    ]
    assert ben.take_notes() == []
    assert sent["params"]["_meta"]["kept"] is True


async def test_a_log_message_while_two_principals_wait_goes_to_nobody() -> None:
    traffic = Traffic()
    streams = [traffic.open_stream(ANNA), traffic.open_stream(BEN)]
    calls = [begin(traffic, ANNA)[0], begin(traffic, BEN)[0]]

    says(traffic, method="notifications/message", params={"data": "whose?"})

    assert [await heard(stream) for stream in streams] == [[], []]
    assert [call.take_notes() for call in calls] == [[], []]
    assert traffic.dropped == 1


async def test_a_log_message_while_one_principal_waits_goes_to_that_one() -> None:
    traffic = Traffic()
    anna, ben = traffic.open_stream(ANNA), traffic.open_stream(BEN)
    begin(traffic, ANNA)
    begin(traffic, Caller(ANNA.principal, "another"))

    says(traffic, method="notifications/message", params={"data": "hers"})

    assert len(await heard(anna)) == 1
    assert await heard(ben) == []


async def test_a_log_message_while_one_session_waits_goes_to_its_latest_call() -> None:
    traffic = Traffic()
    stream = traffic.open_stream(ANNA)
    first, latest = begin(traffic, ANNA)[0], begin(traffic, ANNA)[0]

    says(traffic, method="notifications/message", params={"data": "hers"})

    assert (len(first.take_notes()), len(latest.take_notes())) == (0, 1)
    assert await heard(stream) == []


async def test_a_log_message_between_calls_goes_to_nobody_once_two_principals_came() -> (
    None
):
    traffic = Traffic()
    anna = traffic.open_stream(ANNA)
    says(traffic, method="notifications/message", params={"data": 1})
    traffic.open_stream(BEN)

    says(traffic, method="notifications/message", params={"data": 2})

    assert [item["params"]["data"] for item in await heard(anna)] == [1]


async def test_a_slow_reader_loses_its_stream_and_not_single_messages() -> None:
    traffic = Traffic()
    stream = traffic.open_stream(ANNA)

    for number in range(WAITING_LIMIT * 2):
        says(
            traffic,
            method="notifications/tools/list_changed",
            params={"number": number},
        )

    numbers = [item["params"]["number"] for item in await heard(stream)]
    assert numbers == list(range(WAITING_LIMIT))


def test_an_abandoned_call_is_cancelled_once_and_its_late_answer_dropped() -> None:
    traffic = Traffic()
    call, sent = begin(traffic, ANNA)

    line = traffic.abandon(call)
    says(traffic, id=sent["id"], result={})

    assert line is not None
    assert json.loads(line)["params"]["requestId"] == sent["id"]
    assert traffic.abandon(call) is None
    assert traffic.dropped == 1


def test_nobody_cancels_anothers_call() -> None:
    traffic = Traffic()
    _, sent = begin(traffic, ANNA, "tools/call", 1)
    params = request(requestId=1).params

    assert traffic.cancelled_by_client(params, BEN) is None
    assert traffic.cancelled_by_client(params, Caller("user:1", "another")) is None
    line = traffic.cancelled_by_client(params, ANNA)
    assert line is not None
    assert json.loads(line)["params"]["requestId"] == sent["id"]


def test_without_sessions_equal_ids_cancel_nothing() -> None:
    traffic = Traffic()
    nobody = Caller("server:1")
    begin(traffic, nobody, "tools/call", 1)
    begin(traffic, nobody, "tools/call", 1)

    assert traffic.cancelled_by_client(request(requestId=1).params, nobody) is None


def test_an_overlong_answer_fails_the_call_that_it_answers() -> None:
    traffic = Traffic()
    first, sent = begin(traffic, ANNA)
    second, _ = begin(traffic, BEN)

    assert traffic.overlong(
        Overlong(b'{"result":{', json.dumps(sent["id"]).encode() + b"}"), 10
    )
    assert not traffic.overlong(Overlong(b"noise", b"noise"), 10)

    assert first.is_over
    assert not second.is_over


async def test_what_a_server_logs_after_its_answer_is_not_taken_for_another_s() -> None:
    traffic = Traffic()
    _, sent = begin(traffic, ANNA)
    says(traffic, id=sent["id"], result={})
    call, _ = begin(traffic, BEN)
    stream = traffic.open_stream(BEN)

    log = {"level": "info", "data": "anna's"}
    says(traffic, method="notifications/message", params=log)

    assert call.take_notes() == []
    assert await heard(stream) == []


def test_a_call_that_was_given_up_is_not_taken_for_the_one_in_flight() -> None:
    refused: list[bytes] = []
    traffic = Traffic(send=refused.append)
    given_up, sent = begin(traffic, ANNA)
    traffic.abandon(given_up)
    able = Caller("user:2", "s2", {"elicitation": {"form": {}}})
    call, _ = begin(traffic, able)

    says(traffic, id="q1", method="elicitation/create", params={})
    assert call.take_asks() == []
    assert b"cannot be told" in refused[0]

    # The late answer to it ends the doubt.
    says(traffic, id=sent["id"], result={})
    says(traffic, id="q2", method="elicitation/create", params={})
    assert len(refused) == len(call.take_asks()) == 1


async def test_what_the_hub_has_looked_at_takes_no_clients_log_away() -> None:
    traffic = Traffic()
    hub = Caller("hub")
    done, line = begin(traffic, hub, "tools/list", 7)
    says(traffic, id=line["id"], result={"tools": []})
    assert done.is_over
    begin(traffic, hub, "tools/list", 8)
    call, _ = begin(traffic, ANNA)

    says(traffic, method="notifications/message", params={"level": "info"})

    assert len(call.take_notes()) == 1


async def test_what_the_hub_has_called_is_somebodys() -> None:
    traffic = Traffic()
    done, line = begin(traffic, Caller("hub"), "tools/call", 7)
    says(traffic, id=line["id"], result={"content": []})
    assert done.is_over
    call, _ = begin(traffic, ANNA)

    says(traffic, method="notifications/message", params={"level": "info"})

    assert call.take_notes() == []
