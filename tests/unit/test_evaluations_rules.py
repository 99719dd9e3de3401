"""Replays, verdicts, scores and schedules: what is decided without asking anybody."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations import Answer
from appliance.evaluations.judging import may_write, state_of
from appliance.evaluations.model import About, Certification, Finding, Origin, Status
from appliance.evaluations.replay.calls import Recorded, choose, read_only
from appliance.evaluations.replay.compare import (
    Measured,
    Tolerance,
    differences,
    open_ones,
    told,
)
from appliance.evaluations.scores import scored
from appliance.evaluations.showing import kept_arguments
from appliance.evaluations.suites import (
    Outcome,
    Result,
    Run,
    RunKind,
    RunState,
    Schedule,
)
from appliance.evaluations.timing import checked, next_run

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def measured(
    content: Any = None, *, ms: float = 10, size: int = 100, **result: Any
) -> Measured:
    if content is not None:
        result["structuredContent"] = content
    return Measured(Answer(result), ms, size)


def found(before: Measured, after: Measured) -> list[tuple[str, str]]:
    return [
        (item.kind.value, item.path) for item in differences(before, after, Tolerance())
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (measured({"a": 1}), measured({"a": 1.0}), []),
        (measured({"a": 1}), measured({"a": True}), [("shape", "$.a")]),
        (measured({"a": 1}), measured({"a": 2}), [("value", "$.a")]),
        (measured({"a": 1}), measured({"a": None}), [("shape", "$.a")]),
        (measured({"a": 1}), measured({"b": 1}), [("shape", "$.a"), ("shape", "$.b")]),
        (
            measured({"items": [{"p": 1}, {"p": 2}]}),
            measured({"items": [{"p": 3}, {"p": 4}, {"p": 5}]}),
            [("value", "$.items.length"), ("value", "$.items[*].p")],
        ),
        (measured({"a": 1}), measured(isError=True), [("error_class", "$")]),
        (measured(isError=True), measured(isError=True), []),
        (measured({"a": 1}), measured({"a": 1}, ms=530), []),
        (measured({"a": 1}), measured({"a": 1}, ms=531), [("latency", "$")]),
        (measured({"a": 1}), measured({"a": 1}, size=9000), [("size", "$")]),
    ],
)
def test_answers_differ_by_place_and_kind(
    before: Measured, after: Measured, expected: list[tuple[str, str]]
) -> None:
    assert found(before, after) == expected


def test_refusals_differ_by_their_code() -> None:
    one = Measured(Answer(rpc_code=-32602, rpc_message="x"), 1, 1)
    other = Measured(Answer(rpc_code=-32603, rpc_message="x"), 1, 1)

    assert found(one, other) == [("error_class", "$")]
    assert found(one, one) == []


def test_what_was_accepted_does_not_count() -> None:
    both = differences(
        measured({"a": 1, "b": 1}), measured({"a": 2, "b": 2}), Tolerance()
    )

    kept = told(both, {("$.a", "value")})

    assert [item["accepted"] for item in kept] == [True, False]
    assert [item["path"] for item in open_ones(kept)] == ["$.b"]


def recorded(number: int, tool: str = "now", **changes: Any) -> Recorded:
    request = json.dumps({"params": {"name": tool, "arguments": {"n": number}}})
    response = json.dumps({"result": {"content": []}})
    values = {
        "request": request,
        "response": response,
        "request_bytes": len(request),
        "response_bytes": len(response),
    }
    return Recorded(id=number, tool=tool, duration_ms=1.0, **{**values, **changes})


def test_only_calls_that_were_kept_whole_are_made_again_and_the_rest_is_counted() -> (
    None
):
    event = 'event: message\ndata: {"jsonrpc":"2.0","result":{"isError":true}}\n\n'
    chosen = choose(
        [
            recorded(1),
            recorded(1),
            recorded(2, response=event, response_bytes=len(event)),
            recorded(3, request_bytes=9999),
            recorded(4, request='{"params":{"arguments":{"token":"[redacted]"}}}'),
            recorded(5, response=None),
            recorded(6, response="<html>", response_bytes=6),
            recorded(7, tool="set"),
            recorded(8),
            recorded(9),
        ],
        tools={"now"},
        limit=3,
    )

    assert [item.id for item in chosen.calls] == [1, 2, 8]
    assert chosen.calls[1].answer.error_class == "tool_error"
    assert chosen.left_out == {
        "duplicate": 1,
        "truncated": 1,
        "redacted": 1,
        "not_kept": 1,
        "unreadable": 1,
        "not_read_only": 1,
    }


def test_only_tools_that_say_so_are_read_only() -> None:
    tools: list[dict[str, Any]] = [
        {"name": "a", "annotations": {"readOnlyHint": True}},
        {"name": "b", "annotations": {"readOnlyHint": "yes"}},
        {"name": "c", "annotations": None},
        {"name": "d"},
    ]

    assert read_only(tools) == {"a"}


def result(position: int, outcome: Outcome) -> Result:
    return Result(position, "t", "t", {}, outcome, 0.0, "why", "", 1.0, 1, NOON)


@pytest.mark.parametrize(
    ("outcomes", "share", "state"),
    [
        ("pp", 1.0, RunState.PASSED),
        ("pf", 1.0, RunState.FAILED),
        ("pf", 0.5, RunState.PASSED),
        ("pb", 1.0, RunState.BROKEN),
        ("pbf", 1.0, RunState.FAILED),
        ("pppppppppf", 0.9, RunState.PASSED),
        ("", 1.0, RunState.BROKEN),
    ],
)
def test_a_suite_passes_by_its_share_and_silence_is_no_verdict(
    outcomes: str, share: float, state: RunState
) -> None:
    words = {"p": Outcome.PASSED, "f": Outcome.FAILED, "b": Outcome.BROKEN}
    results = [result(at, words[word]) for at, word in enumerate(outcomes)]

    assert state_of(results, share)[0] is state


def test_what_a_person_refused_no_run_lifts() -> None:
    about = About(1, 1, "x", 1, None, "sha256:0", "gold:npm", "smoke")

    def known(status: Status, origin: Origin) -> Certification:
        finding = Finding(status, origin=origin)
        return Certification(1, about, finding, "x", 1, NOON, NOON)

    assert not may_write(known(Status.FAIL, Origin.PERSON), Status.PASS)
    assert may_write(known(Status.FAIL, Origin.SUITE), Status.PASS)
    assert may_write(known(Status.PENDING, Origin.PERSON), Status.PASS)
    assert may_write(known(Status.PASS, Origin.PERSON), Status.FAIL)
    assert may_write(None, Status.PASS)


def run(number: int, server_id: int, score: float, suite_id: int = 1) -> Run:
    return Run(
        id=number, kind=RunKind.SUITE, server_id=server_id, server_name="", suite_id=suite_id,
        suite_name=f"s{suite_id}", deployment_id=1, deployment_number=1, is_candidate=False, digest=None, tier="",
        artifact_run_id=None, plan={}, state=RunState.PASSED if score == 1 else RunState.FAILED, reason="",
        total=4, done=4, passed=int(4 * score), score=score, summary={}, requested_by="", for_step=None, job_id=None,
        certification_id=None, created_at=NOON, started_at=NOON, finished_at=NOON + timedelta(seconds=number),
    )  # fmt: skip


def test_servers_are_ranked_by_what_their_suites_last_said() -> None:
    names = {1: "a", 2: "b", 3: "c", 4: "d"}
    newest_first = [run(9, 1, 1.0), run(8, 2, 1.0), run(7, 3, 1.0, 2), run(6, 3, 0.5), run(5, 1, 0.0)]  # fmt: skip

    board = scored(names, newest_first)

    assert [(item.server_name, item.rank) for item in board] == [
        ("a", 1),
        ("b", 1),
        ("c", 3),
        ("d", None),
    ]
    assert board[2].score == 0.75
    assert board[2].state == "failed"
    assert [item.score for item in board[0].suites[0].trend] == [0.0, 1.0]


def test_a_schedule_is_an_interval_or_five_fields() -> None:
    nightly = checked(Schedule(cron="0 3 * * *"))

    assert next_run(nightly, NOON) == datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert next_run(checked(Schedule(every_s=90)), NOON) == NOON + timedelta(seconds=90)
    at_three = datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert next_run(nightly, at_three) == at_three + timedelta(days=1)
    for wrong in (
        Schedule(),
        Schedule(every_s=90, cron="0 3 * * *"),
        Schedule(every_s=5),
        Schedule(cron="every day"),
        Schedule(cron="0 0 31 2 *"),
    ):
        with pytest.raises(InvalidError):
            checked(wrong)


def test_arguments_that_hold_secrets_are_kept_without() -> None:
    kept = kept_arguments({"password": "p", "n": 1}, lambda text: text)

    assert kept == {"password": "[redacted]", "n": 1}
    assert kept_arguments({"a": "x" * 20_000}, str) == {"…": "20009 characters"}
