"""What of a call may become a row, and how it looks to COPY."""

import json
import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from appliance.core.bodies import HIDDEN, _hidden, may_hold_secrets, redact
from appliance.core.known_values import KnownValues
from appliance.gateway.traces.rows import COLUMNS, MOST_LETTERS, copy_lines
from appliance.gateway.traces.spool import batches, framed
from appliance.invocations.days import expired, partition_name
from tests.fakes.trace_processes import invocation

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        '{"password":"hunter2hunter2"}',
        '{"params":{"arguments":{"api_key" : "hunter2hunter2","x":1}}}',
        '{"apiKey":"hunter2hunter2"}',
        '{"Authorization":["hunter2hunter2"]}',
        '{"credentials":{"user":"a","value":"}{hunter2hunter2"},"x":1}',
        '{"client_secret":"a\\"hunter2hunter2"}',
        '{"token":"hunter2hunter2',
        '{"access_token":"hunter2hunter2\\',
        r'{"text":"{\"password\": \"hunter2hunter2\"}"}',
        r'{"text":"{\"password\": \"hunter2hunter2',
        r'{"text":"{\"a\":\"{\\\"secret\\\":\\\"hunter2hunter2\\\"}\"}"}',
        r'{"text":"{\"secrets\": {\"a\": \"hunter2hunter2\"}}"}',
        "Authorization: Bearer hunter2hunter2",
        '{"header":"bearer hunter2hunter2"}',
        "https://user:hunter2hunter2@host/",
        "https://host/?api_key=hunter2hunter2&x=1",
        "DB_PASSWORD=hunter2hunter2",
        '{"a":"mcps_hunter2hunter2"}',
        '{"a":"mcph_hunter2hunter2"}',
        '{"a":"sk-proj-hunter2hunter2"}',
        '{"a":"ghp_hunter2hunter2"}',
        '{"a":"xoxb-hunter2hunter2"}',
        '{"a":"AIzahunter2hunter2hunter2"}',
        "eyJhbGciOiJIUzI1NiJ9.hunter2hunter2.x",
        "-----BEGIN RSA PRIVATE KEY-----\\nhunter2hunter2\\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2hunter2",
        "Set-Cookie: session=hunter2hunter2; Path=/",
    ],
)
def test_a_secret_does_not_become_a_row(text: str) -> None:
    shown = redact(text)

    assert SECRET not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"tools/call","params":{"name":"echo","_meta":{"progressToken":"abcdefgh"}}}',
        '{"max_tokens":100,"tokenCount":5,"monkey":"bananas","keyword":"x"}',
        '{"password":null,"token":true}',
        '{"text":"a basic thing, no bearer of news"}',
        "https://host:8080/path@x",
        '{"result":{"content":[{"type":"text","text":"Gruezi, \\"Welt\\""}]}}',
        "",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    assert redact('{"a":1,"token":"abc","b":[2]}') == (
        '{"a":1,"token":"[redacted]","b":[2]}'
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    json_values,
    st.sampled_from(["password", "api_key", "Authorization", "client_secret"]),
    st.integers(0, 3),
    st.data(),
)
def test_no_secret_shows_wherever_the_text_is_cut(
    around: object, name: str, depth: int, data: st.DataObject
) -> None:
    """JSON around it, JSON in strings of JSON, cut anywhere."""
    text = json.dumps({"a": around, name: SECRET, "z": around})
    for _ in range(depth):
        text = json.dumps({"text": text})
    cut = data.draw(st.integers(0, len(text)))

    assert SECRET not in redact(text[:cut])


@given(json_values, st.sampled_from(["password", "tokens", "x", "credentials"]))
def test_what_was_json_is_json_afterwards(value: object, name: str) -> None:
    json.loads(redact(json.dumps({"before": [value], name: value, "after": value})))


#: What the patterns are made of, and what Python alone takes for white space or for a letter.
FRAGMENTS = [
    *('"', "\\", ":", "=", "/", "@", " ", "\n", "\v", "\x1c", "\x85", "\xa0", "\u2003"),
    *("é", "x", "x" * 16, "{", "}", "."),
    *("pass", "word", "SECRET", "token", "auth", "authorization", "Cookie", "key", "Key"),
    *("api_", "dsn", "signature", "database_url", "mcph_", "Bearer", "basic", "sk-"),
    *("ghp_", "github_pat_", "glpat-", "xoxb-", "npm_", "pypi-", "hf_", "AIza", "AKIA"),
    *("eyJ", "://", "-----BEGIN PRIVATE KEY-----", "set-", "proxy-", "\u212a", "\u017f"),
]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


@settings(max_examples=2000)
@given(st.lists(texts, max_size=3))
def test_one_look_at_many_texts_overlooks_no_secret(parts: list[str]) -> None:
    if any(_hidden(part) != part for part in parts):
        assert may_hold_secrets(" ".join(parts))


@pytest.mark.parametrize("also", [b"", b"a\\b\tc", b'{"token":"x"}'])
def test_a_row_looks_the_same_whatever_is_copied_with_it(also: bytes) -> None:
    row = invocation(1, request=b"a\\b\nc", response=b'{"password":"hunter2"}')
    alone = copy_lines([row])[0]

    assert copy_lines([invocation(2, request=also), row])[1] == alone
    assert "hunter2" not in alone


def test_no_text_takes_long() -> None:
    """The time grows with the length and not with its square."""
    unpleasant = [
        "key" + "\\" * 60_000,
        "pass" + "a." * 30_000 + "=",
        '"token":' * 8_000,
        '"key":{' * 8_000,
        "bearer " * 8_000,
    ]
    started = time.process_time()
    for text in unpleasant:
        redact(text)

    assert time.process_time() - started < 5


# -- lines for COPY


def unescaped(line: str) -> list[str]:
    marks = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}
    cells = line.removesuffix("\n").split("\t")
    found = []
    for cell in cells:
        text, rest = "", cell
        while rest:
            pair = rest[:2]
            text += marks.get(pair, rest[0])
            rest = rest[2:] if pair in marks else rest[1:]
        found.append(text)
    return found


@given(st.text(max_size=50), st.binary(max_size=50))
def test_a_line_has_every_column_whatever_strangers_sent(
    target: str, body: bytes
) -> None:
    line = copy_lines([invocation(1, target=target, request=body, response=b"x")])[0]
    cells = unescaped(line)

    assert line.count("\n") == 1
    assert len(cells) == len(COLUMNS)
    assert "\0" not in line
    assert cells[COLUMNS.index("response")] == "x"


def test_nothing_kept_is_null_and_not_empty() -> None:
    cells = copy_lines([invocation(1, request=b"", bundle_id=0)])[0].split("\t")

    assert cells[COLUMNS.index("request")] == r"\N"
    assert cells[COLUMNS.index("bundle_id")] == r"\N"


def test_a_text_that_says_null_is_a_text() -> None:
    line = copy_lines([invocation(1, request=rb"\N")])[0]

    assert line.split("\t")[COLUMNS.index("request")] == r"\\N"


def test_a_stranger_cannot_fill_the_database_with_names() -> None:
    cells = copy_lines([invocation(1, target="x" * 100_000)])[0].split("\t")

    assert len(cells[COLUMNS.index("target")]) == MOST_LETTERS


def test_moments_and_codes_out_of_range_are_bounded() -> None:
    line = copy_lines([invocation(1, started_at=1e300, rpc_code=-(2**60))])[0]

    assert line.startswith("9999-")
    assert str(-(2**31)) in line


# -- batches


@given(st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_of_a_file_that_was_cut_the_whole_batches_are_read(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = [framed(payload) for payload in payloads]
    file = b"".join(whole)
    cut = data.draw(st.integers(0, len(file)))

    read = list(batches(file[:cut]))

    assert [payload for payload, _ in read] == payloads[: len(read)]
    done = read[-1][1] if read else 0
    assert len(read) == len(payloads) or cut - done < len(whole[len(read)])


def test_a_batch_that_was_changed_is_not_read() -> None:
    file = bytearray(framed(b"abc") + framed(b"def"))
    file[-1] ^= 1

    assert [payload for payload, _ in batches(bytes(file))] == [b"abc"]


def test_a_day_goes_when_its_youngest_call_is_too_old() -> None:
    today = date(2026, 11, 21)
    names = [partition_name(date(2026, 11, day)) for day in (17, 18, 19, 21)]

    assert expired([*names, "invocations_default"], today, 3) == names[:1]


def test_a_value_that_its_server_must_not_have_told_becomes_no_row() -> None:
    hide = KnownValues(["canary-5e1f"])
    told = invocation(1, request=b"{}", response=rb'{"text":"it is canary-5e1f\n"}')
    cut = invocation(1, request=b"{}", response=b'{"text":"canary-5e')
    other = structs.replace(told, server_id=told.server_id + 1)

    lines = copy_lines([told, cut, other], {told.server_id: hide})

    assert "canary" not in lines[0] + lines[1]
    assert "canary-5e1f" in lines[2]
