"""Request states and task ids go back to those whom they were given to, and to nobody else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.edge.states import (
    STATE_LIVES_S,
    ForeignStateError,
    Owner,
    StateBinder,
    StreamSigner,
    is_marked,
)

KEY = b"k" * 32
ANN = Owner("12", "user:1")
PURPOSE = "tools/call book"
owners = st.builds(Owner, st.text(max_size=8), st.text(max_size=8))


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def body(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1} | message).encode()


def signed_result(
    binder: StateBinder, result: dict[str, Any], owner: Owner = ANN
) -> Any:
    return json.loads(binder.sign_message(body(result=result), owner, PURPOSE))[
        "result"
    ]


def checked(binder: StateBinder, params: dict[str, Any], **changes: Any) -> Any:
    arguments: dict[str, Any] = {"method": "tools/call", "owner": ANN}
    arguments |= {"purpose": PURPOSE} | changes
    return json.loads(binder.check_request(json.dumps(params).encode(), **arguments))


@given(state=st.text(), owner=owners, other=owners)
def test_a_request_state_comes_back_to_its_owner_alone(
    state: str, owner: Owner, other: Owner
) -> None:
    binder = StateBinder(KEY)
    given_out = signed_result(binder, {"requestState": state}, owner)

    assert checked(binder, given_out, owner=owner)["requestState"] == state
    if other != owner:
        with pytest.raises(ForeignStateError):
            checked(binder, given_out, owner=other)


@pytest.mark.parametrize(
    "changes", [{"purpose": "tools/call pay"}, {"purpose": "prompts/get book"}]
)
def test_a_request_state_serves_no_other_purpose(changes: dict[str, Any]) -> None:
    binder = StateBinder(KEY)
    given_out = signed_result(binder, {"requestState": "s"})

    with pytest.raises(ForeignStateError):
        checked(binder, given_out, **changes)


def test_a_request_state_expires() -> None:
    clock = Clock()
    binder = StateBinder(KEY, clock)
    given_out = signed_result(binder, {"requestState": "s"})

    clock.now += STATE_LIVES_S - 1
    assert checked(binder, given_out)["requestState"] == "s"
    clock.now += 2
    with pytest.raises(ForeignStateError):
        checked(binder, given_out)


@pytest.mark.parametrize("forged", ["", "s", "s.", ".", "s.f4240.AAAA", "ü.ü", None, 7])
def test_a_made_up_request_state_is_refused(forged: Any) -> None:
    with pytest.raises(ForeignStateError):
        checked(StateBinder(KEY), {"requestState": forged})


@pytest.mark.parametrize(
    ("result", "path"),
    [
        ({"resultType": "task", "taskId": "t1"}, ("taskId",)),
        ({"task": {"taskId": "t1", "status": "working"}}, ("task", "taskId")),
        (
            {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}},
            ("_meta", "io.modelcontextprotocol/related-task", "taskId"),
        ),
    ],
)
def test_a_task_id_is_bound_wherever_a_server_says_it(
    result: dict[str, Any], path: tuple[str, ...]
) -> None:
    binder = StateBinder(KEY)
    found: Any = signed_result(binder, result)
    for name in path:
        found = found[name]

    back = checked(binder, {"taskId": found}, method="tasks/get", purpose="")
    assert back["taskId"] == "t1"
    with pytest.raises(ForeignStateError):
        checked(
            binder, {"taskId": found}, method="tasks/get", owner=Owner("12", "user:2")
        )
    with pytest.raises(ForeignStateError):
        checked(binder, {"taskId": "t1"}, method="tasks/cancel")


def test_a_list_of_tasks_shows_nobody_elses() -> None:
    shown = signed_result(StateBinder(KEY), {"tasks": [{"taskId": "t1"}]})

    assert shown["tasks"] == []


def test_a_tools_own_field_called_task_id_is_left_alone() -> None:
    result = {"structuredContent": {"taskId": "T-1"}, "content": []}
    text = body(result=result)

    assert StateBinder(KEY).sign_message(text, ANN, PURPOSE) == text
    assert checked(StateBinder(KEY), {"arguments": {"taskId": "T-1"}}) == {
        "arguments": {"taskId": "T-1"}
    }


def test_a_name_spelled_with_escapes_is_bound_too() -> None:
    text = b'{"jsonrpc":"2.0","id":1,"result":{"request\\u0053tate":"s"}}'

    assert is_marked(text)
    assert StateBinder(KEY).sign_message(text, ANN, PURPOSE) != text


@given(
    cuts=st.lists(st.integers(0, 400), max_size=6).map(sorted),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_a_stream_is_signed_however_it_is_cut(cuts: list[int], line_end: bytes) -> None:
    binder = StateBinder(KEY, Clock())
    note = b'{"jsonrpc":"2.0","method":"notifications/progress"}'
    last = body(result={"requestState": "s"})
    events = [b": hello", b"event: message\ndata: " + note, b"id: 1\ndata: " + last]
    text = b"".join(event + b"\n\n" for event in events).replace(b"\n", line_end)
    signer = StreamSigner(lambda data: binder.sign_message(data, ANN, PURPOSE), 10_000)

    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        out += signer.feed(text[start:end])
    out += signer.finish()

    found = out.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    assert found[:2] == events[:2]
    assert found[2] == b"id: 1\ndata: " + binder.sign_message(last, ANN, PURPOSE)


def test_an_endless_event_ends_the_stream() -> None:
    signer = StreamSigner(lambda data: data, 100)

    with pytest.raises(ConnectionError):
        signer.feed(b"data: " + b"x" * 200)


def test_what_is_marked_and_incomplete_does_not_pass() -> None:
    signer = StreamSigner(lambda data: data, 1000)

    assert signer.feed(b'data: {"result":{"requestState":"s"}}\n') == b""
    assert signer.finish() == b""
