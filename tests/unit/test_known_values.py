"""Values that must not be shown: found however a program writes them."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.known_values import (
    EDGE,
    HIDDEN,
    MIN_LETTERS,
    KnownValues,
    in_all,
)
from appliance.core.secret_names import looks_secret

CANARY = 'cänary "\\ s3cret/+value\twith all?'
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
LETTERS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=40
)
VALUES = st.text(
    st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789+/=_-."),
    min_size=EDGE + 1,
    max_size=60,
)


@pytest.mark.parametrize(
    "written",
    [
        CANARY,
        json.dumps(CANARY),
        json.dumps(CANARY, ensure_ascii=False),
        json.dumps(json.dumps({"value": CANARY})),
        repr(CANARY),
        quote(CANARY, safe=""),
        CANARY.encode().hex(),
    ],
)
def test_a_value_is_hidden_however_programs_write_it(written: str) -> None:
    hide = KnownValues([CANARY])

    shown = hide(f"before {written} after")

    assert "s3cret" not in shown
    assert "before" in shown
    assert "after" in shown


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("behind", ["", "x", "yz"])
def test_a_value_is_found_within_base64_wherever_it_stands(
    place: int, behind: str
) -> None:
    hide = KnownValues(["hunter2-hunter2-hunter2"])
    text = base64.b64encode(
        b"." * place + b"hunter2-hunter2-hunter2" + behind.encode()
    ).decode()

    shown = hide(text)

    assert HIDDEN in shown
    assert b"hunter2-h" not in base64.b64decode(shown.partition("[")[0] + "====")


def test_each_line_of_a_key_is_hidden_on_its_own() -> None:
    hide = KnownValues([PEM])

    assert hide("  MIIEvQIBADANBgkqhkiG9w0B") == f"  {HIDDEN}"


@given(VALUES, LETTERS, LETTERS)
def test_no_value_stays_in_a_text(value: str, before: str, after: str) -> None:
    assert value not in KnownValues([value])(before + value + after)


@given(VALUES, st.integers(EDGE, 60), LETTERS)
def test_a_value_that_was_cut_off_is_hidden_up_to_the_cut(
    value: str, length: int, before: str
) -> None:
    cut = value[:length]

    assert cut not in KnownValues([value])(before + cut)
    assert value[-length:] not in KnownValues([value])(value[-length:] + before)


def test_values_that_overlap_leave_nothing_of_either() -> None:
    hide = KnownValues(["abcdef12", "f1234567"])

    assert hide("abcdef1234567") == HIDDEN


def test_a_value_like_an_ordinary_word_is_not_looked_for() -> None:
    hide = KnownValues(["x" * (MIN_LETTERS - 1)])

    assert not hide
    assert hide("xxxxx yes") == "xxxxx yes"


@given(LETTERS)
def test_what_holds_no_value_stays_as_it_is(text: str) -> None:
    assert KnownValues(["a-value-that-is-nowhere-else"])(text) == text


def test_an_answer_is_hidden_in_texts_names_and_all_within() -> None:
    hide = KnownValues(["hunter22"])

    assert in_all({"a hunter22": [1, None, {"b": "is hunter22"}]}, hide) == {
        f"a {HIDDEN}": [1, None, {"b": f"is {HIDDEN}"}]
    }


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("GITHUB_TOKEN", True),
        ("GITHUB_PERSONAL_ACCESS_TOKEN", True),
        ("OPENAI_API_KEY", True),
        ("DB_PASSWORD", True),
        ("SECRET", True),
        ("DATABASE_URL", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("MAX_TOKENS", False),
        ("TOKEN_LIMIT", False),
        ("TZ", False),
        ("SSH_KEY_FILE", False),
        ("PUBLIC_KEY", False),
    ],
)
def test_a_name_tells_whether_a_value_is_secret(name: str, *, is_secret: bool) -> None:
    assert looks_secret(name) is is_secret
