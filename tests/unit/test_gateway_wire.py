"""JSON-RPC envelopes: what is left as it was, and what is refused."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.protocol import wire

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from([None, 1, "\t"]))
def test_a_request_becomes_one_line_that_says_the_same(
    params: Any, indent: Any
) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "m", "params": params}

    line = wire.one_line(
        wire.decode_body(
            json.dumps(message, indent=indent, ensure_ascii=False).encode(
                "utf-8", "replace"
            )
        )
    )

    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert b"\r" not in line
    expected = json.loads(
        json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    )
    assert json.loads(line) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(body: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        assert b"\n" not in wire.one_line(wire.decode_body(body))[:-1]


@given(st.binary(max_size=200))
def test_any_line_of_a_server_is_a_message_or_garbage(line: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        assert wire.answer_body(b"1", wire.decode_line(line)).startswith(b"{")


def test_numbers_and_spelling_stay_as_they_were() -> None:
    answer = wire.decode_line(
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1.00,"b":123456789012345678901,"c":"\\u00e9"}}'
    )

    body = wire.answer_body(b'"mine"', answer)

    assert (
        body
        == b'{"jsonrpc":"2.0","id":"mine","result":{"a":1.00,"b":123456789012345678901,"c":"\\u00e9"}}'
    )


def test_what_only_lenient_parsers_read_is_read() -> None:
    answer = wire.decode_line(b'{"jsonrpc":"2.0","id":1,"result":{"x":"\\ud800"}}')

    assert json.loads(wire.answer_body(b"1", answer))["result"] == {"x": "\ud800"}


def test_line_breaks_between_tokens_do_not_end_an_event() -> None:
    assert wire.sse_event(b'{\r"a":\n1}') == b'event: message\ndata: { "a": 1}\n\n'


@pytest.mark.parametrize("identifier", [b"null", b"[]", b"{}", b"true"])
def test_ids_are_strings_or_numbers(identifier: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_body(b'{"jsonrpc":"2.0","id":%b,"method":"ping"}' % identifier)
