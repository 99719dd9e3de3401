"""What passes of a server's tools: by allow-list, by what is held back, and by what was approved."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from appliance.core.definitions import fingerprint
from appliance.gateway.edge import allowlist
from appliance.gateway.edge.states import StreamSigner
from appliance.gateway.screen import Screen, screen_of

ADD = {"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}
SUB = {"name": "sub", "description": "Subtracts."}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def screen(**changes: Any) -> Screen:
    return Screen(
        **{"server": "calc", "allowed": None, "held": {}, "pinned": None} | changes
    )


def answer(*tools: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()


def shown(body: bytes) -> list[str]:
    return [tool["name"] for tool in json.loads(body)["result"]["tools"]]


@given(values)
def test_a_definition_is_the_same_however_it_is_written(value: Any) -> None:
    loose = json.loads(json.dumps(value, indent=3, ensure_ascii=False))

    assert fingerprint(value) == fingerprint(loose)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1.0}),
        (1e23, 100000000000000000000000),
    ],
)
def test_what_parsers_keep_apart_and_json_does_not_is_the_same(
    one: Any, other: Any
) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), (1, True), ({"a": None}, {}), ([1, 2], [2, 1])]
)
def test_what_says_something_else_is_not_the_same(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_a_server_that_holds_nothing_back_is_not_looked_into() -> None:
    assert screen_of("calc", None, {}, None) is None
    assert screen_of("calc", None, {}, {}) is not None


def test_only_what_was_approved_passes_and_the_rest_is_new_to_the_hub() -> None:
    pinned = {"add": fingerprint(ADD), "sub": fingerprint("another")}
    sieve = allowlist.Filter(screen(pinned=pinned))

    assert shown(sieve.message(answer(ADD, SUB, {"name": "new"}))) == ["add"]
    assert sieve.unknown == {fingerprint(SUB), fingerprint({"name": "new"})}


def test_what_the_hub_knows_of_is_not_told_again() -> None:
    sieve = allowlist.Filter(screen(held={"sub": "changed"}, pinned={"sub": "x"}))

    assert shown(sieve.message(answer(SUB))) == []
    assert sieve.unknown == set()


def test_a_definition_with_two_descriptions_passes_as_it_was_read() -> None:
    tricky = b'{"result":{"tools":[{"name":"sub","description":"Evil.","description":"Subtracts."}]}}'
    sieve = allowlist.Filter(screen(pinned={"sub": fingerprint(SUB)}))

    assert b"Evil" not in sieve.message(tricky)


@pytest.mark.parametrize(
    "tools", [b"{}", b"5", b"null", b"[5,null,[]]", b'[{"name":5}]']
)
def test_what_is_no_list_of_tools_shows_none(tools: bytes) -> None:
    sieve = allowlist.Filter(screen(pinned={}))

    assert shown(sieve.message(b'{"result":{"tools":%b}}' % tools)) == []


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_list_on_a_stream_is_looked_into_like_any_other(pieces: int) -> None:
    sieve = allowlist.Filter(screen(pinned={"add": fingerprint(ADD)}))
    signer = StreamSigner(sieve.message, 10_000, allowlist.may_list)
    spelled = answer(ADD, SUB).replace(b'"tools"', b'"\\u0074ools"')
    text = b"".join(
        b"id: 1\nevent: message\ndata: %b\n\n" % body
        for body in (b'{"method":"ping"}', answer(ADD, SUB), spelled)
    )

    told = b"".join(
        signer.feed(text[at : at + len(text) // pieces + 1])
        for at in range(0, len(text), len(text) // pieces + 1)
    )

    lists = [line[6:] for line in told.splitlines() if b"tools" in line]
    assert [shown(line) for line in lists] == [["add"], ["add"]]
    assert b'data: {"method":"ping"}' in told


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"allowed": frozenset({"add"})}, "sub", "Unknown tool: sub"),
        ({"held": {"sub": "changed"}}, "sub", "its definition changed"),
        ({"held": {"sub": "added"}}, "sub", "it came after"),
        ({"held": {"sub": "renamed"}}, "sub", "it had another name"),
        ({"held": {"sub": "rejected"}}, "sub", "looked at and rejected"),
        ({"pinned": {"add": "x"}}, "sub", "nobody has approved"),
    ],
)
def test_a_refusal_says_why(changes: dict[str, Any], name: str, message: str) -> None:
    found = screen(**changes)

    assert message in str(found.refusal(name))
    assert found.refusal("add") is None


def test_the_hub_lists_everything_on_the_allow_list() -> None:
    assert screen(held={"sub": "changed"}, pinned={}).for_hub() is None

    listing = screen(allowed=frozenset({"sub"}), pinned={}).for_hub()
    assert listing is not None
    assert listing.shown(
        [Raw(json.dumps(item).encode()) for item in (ADD, SUB)]
    ).tools == [Raw(json.dumps(SUB).encode())]
