"""What an answer is compared with: each kind passes what it should, and nothing else."""

from typing import Any

import pytest

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations import Answer, checked, judge

TIME = Answer(
    {
        "content": [{"type": "text", "text": '{"zone": "Europe/Berlin", "offset": 1}'}],
        "structuredContent": {"zone": "Europe/Berlin", "offset": 1, "dst": False},
    }
)
WORDS = Answer({"content": [{"type": "text", "text": "It is half past nine."}]})
JSON_TEXT = Answer({"content": [{"type": "text", "text": '{"items": [1, 2, 3]}'}]})
REFUSED = Answer(
    {"isError": True, "content": [{"type": "text", "text": "No such zone: Mars"}]}
)
UNKNOWN = Answer(rpc_code=-32602, rpc_message="Unknown tool: x")
SCHEMA = {
    "type": "object",
    "required": ["zone"],
    "properties": {"zone": {"$ref": "#/$defs/zone"}},
    "$defs": {"zone": {"type": "string", "pattern": "^Europe/"}},
}


@pytest.mark.parametrize(
    ("expectation", "answer", "is_passed"),
    [
        ({"kind": "exact", "value": "It is half past nine."}, WORDS, True),
        ({"kind": "exact", "value": "It is half past ten."}, WORDS, False),
        ({"kind": "exact", "value": {"items": [1, 2, 3.0]}}, JSON_TEXT, True),
        ({"kind": "exact", "value": {"items": [True, 2, 3]}}, JSON_TEXT, False),
        ({"kind": "schema", "schema": SCHEMA}, TIME, True),
        ({"kind": "schema", "schema": SCHEMA}, JSON_TEXT, False),
        ({"kind": "schema", "schema": {"type": "object"}, "on": "result"}, WORDS, True),
        ({"kind": "jsonpath", "path": "$.items[?@ > 1]", "count": 2}, JSON_TEXT, True),
        ({"kind": "jsonpath", "path": "$.items[*]", "count": 2}, JSON_TEXT, False),
        ({"kind": "jsonpath", "path": "$.dst", "equals": False}, TIME, True),
        ({"kind": "jsonpath", "path": "$.dst", "equals": 0}, TIME, False),
        ({"kind": "jsonpath", "path": "$.nothing"}, TIME, False),
        ({"kind": "jsonpath", "path": "$.nothing", "count": 0}, TIME, True),
        ({"kind": "jsonpath", "path": "$.x"}, WORDS, False),
        ({"kind": "regex", "pattern": "(?i)HALF .* nine"}, WORDS, True),
        ({"kind": "regex", "pattern": "^nine"}, WORDS, False),
        ({"kind": "regex", "pattern": '"dst": false', "on": "structured"}, TIME, True),
        ({"kind": "similarity", "text": "It is half past nine!"}, WORDS, True),
        ({"kind": "similarity", "text": "Good night."}, WORDS, False),
        ({"kind": "error"}, REFUSED, True),
        ({"kind": "error", "class": "tool_error", "contains": "Mars"}, REFUSED, True),
        ({"kind": "error", "class": "rpc_error"}, REFUSED, False),
        ({"kind": "error", "class": "rpc_error"}, UNKNOWN, True),
        ({"kind": "error"}, WORDS, False),
        ({"kind": "regex", "pattern": "zone"}, REFUSED, False),
    ],
)
def test_an_answer_passes_when_it_is_as_expected(
    expectation: dict[str, Any], answer: Answer, *, is_passed: bool
) -> None:
    verdict = judge(checked(expectation), answer)

    assert verdict.is_passed is is_passed, verdict.problem
    assert (
        (verdict.score == 1.0) or not is_passed or expectation["kind"] == "similarity"
    )


@pytest.mark.parametrize(
    ("expectation", "field"),
    [
        ({"kind": "vibes"}, "kind"),
        ({"kind": ["exact"]}, "kind"),
        ({"kind": "exact"}, "value"),
        ({"kind": "exact", "value": 1, "on": "voice"}, "on"),
        ({"kind": "exact", "value": 1, "vaule": 1}, "vaule"),
        ({"kind": "schema", "schema": {"type": "objekt"}}, "schema"),
        ({"kind": "schema", "schema": {"$ref": "https://example.org/s"}}, "schema"),
        ({"kind": "schema", "schema": "x"}, "schema"),
        ({"kind": "schema", "schema": {"items": {"pattern": "(?=x)"}}}, "schema"),
        ({"kind": "jsonpath", "path": "items["}, "path"),
        ({"kind": "jsonpath", "path": "$[?match(@, '(a+)+')]"}, "path"),
        ({"kind": "jsonpath", "path": "$..a..b..c"}, "path"),
        ({"kind": "jsonpath", "path": "$.a", "count": True}, "count"),
        ({"kind": "regex", "pattern": "(?<=a)b"}, "pattern"),
        ({"kind": "regex", "pattern": ""}, "pattern"),
        ({"kind": "similarity", "text": "x", "at_least": 0}, "at_least"),
        ({"kind": "error", "class": "bad_mood"}, "class"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    expectation: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        checked(expectation)

    assert list(refused.value.fields) == [f"expectation.{field}"]


def test_a_schema_that_goes_round_in_circles_is_an_answer_too() -> None:
    schema: dict[str, Any] = {"$ref": "#"}

    verdict = judge(checked({"kind": "schema", "schema": schema}), TIME)

    assert "cannot be followed" in verdict.problem
