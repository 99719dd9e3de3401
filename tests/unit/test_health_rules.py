"""What is made of what servers answer: verdicts, blame, rhythm and the day's strip."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from appliance.servers.health import policy as policies
from appliance.servers.health.model import (
    Health,
    HealthState,
    Liveness,
    StatusChange,
    Step,
    StepResult,
)
from appliance.servers.health.pace import next_check, rhythm_s
from appliance.servers.health.policy import Canary, HealthPolicy
from appliance.servers.health.traffic import (
    Blame,
    FailedCall,
    Traffic,
    blame,
    judge,
)
from appliance.servers.health.uptime import strip, uptime
from appliance.servers.health.verdict import MAX_ANSWER, Finding, verdict

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = HealthPolicy()
WELL = (Step("open", StepResult.PASSED), Step("tools/list", StepResult.PASSED))


def refusal(cause: str = "-32603", answer: str = '{"code":-32603}') -> tuple[Step, ...]:
    return (
        Step("open", StepResult.PASSED),
        Step("tools/list", StepResult.FAILED, "Boom.", answer, cause=cause),
    )


def found(steps: tuple[Step, ...], **changes: object) -> Finding:
    finding = Finding(1, 2, 3, NOON, 5.0, Liveness.ALIVE, steps)
    return replace(finding, **changes)  # type: ignore[arg-type]  # a test's shorthand


def after(*findings: Finding, policy: HealthPolicy = POLICY) -> Health:
    health: Health | None = None
    for item in findings:
        health = verdict(health, item, policy)
    assert health is not None
    return health


# -- verdicts


def test_one_failed_check_is_failing_and_shows_the_answer_itself() -> None:
    health = after(found(WELL), found(refusal()))

    assert health.state is HealthState.FAILING
    assert health.answer == '{"code":-32603}'
    assert health.reason == 'It does not list its tools: Boom. Answer: {"code":-32603}'


def test_a_good_check_after_a_failed_one_is_ready_again_and_says_nothing() -> None:
    health = after(found(refusal()), found(WELL))

    assert (health.state, health.reason, health.answer) == (HealthState.READY, "", "")


def test_thresholds_count_checks_in_a_row() -> None:
    policy = HealthPolicy(failures=2, successes=2)
    bad, good = found(refusal()), found(WELL)

    states = [
        after(*checks, policy=policy).state
        for checks in (
            (good, good, bad),
            (good, good, bad, good, bad),
            (good, good, bad, bad),
            (good, good, bad, bad, good),
            (good, good, bad, bad, good, good),
        )
    ]

    ready, failing = HealthState.READY, HealthState.FAILING
    assert states == [ready, ready, failing, failing, ready]


def test_the_reason_stays_while_the_cause_does_and_the_answer_is_the_newest() -> None:
    first, second = refusal(answer="at 12:00"), refusal(answer="at 12:01")

    health = after(found(first), found(second))

    assert "at 12:00" in health.reason
    assert health.answer == "at 12:01"
    assert "gone" in after(found(first), found(refusal("-1", "gone"))).reason


def test_a_check_that_could_not_ask_changes_no_verdict() -> None:
    away = (Step("open", StepResult.SKIPPED, "The gateway does not answer."),)

    health = after(found(refusal()), found(away, is_conclusive=False))

    assert health.state is HealthState.FAILING
    assert health.failures == 1


def test_answers_are_redacted_cut_and_printable() -> None:
    answer = "Bearer abcdefghijklmnop \x00" + "x" * 5000

    health = after(found(refusal(answer=answer)))

    assert "abcdefgh" not in health.answer
    assert "\x00" not in health.answer
    assert len(health.answer) <= MAX_ANSWER + 1
    assert len(health.reason) < 500


# -- calls


def failed(seconds_ago: float = 1, **changes: object) -> FailedCall:
    ended = NOON - timedelta(seconds=seconds_ago)
    call = FailedCall(ended, "tools/call", "t", 200, "rpc_error", -32603, "{}")
    return replace(call, **changes)  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("call", "whose"),
    [
        (failed(), Blame.SERVER),
        (failed(rpc_code=-32000), Blame.SERVER),
        (failed(rpc_code=-32602), Blame.CLIENT),
        (failed(rpc_code=-32600), Blame.CLIENT),
        (failed(rpc_code=-32601), Blame.SERVER),
        (failed(rpc_code=-32601, method="prompts/get"), Blame.CLIENT),
        (failed(rpc_code=-32002, method="resources/read"), Blame.CLIENT),
        (failed(rpc_code=-32050, response='{"code":"server_silent"}'), Blame.SERVER),
        (
            failed(rpc_code=-32050, response='{"code":"engine_unavailable"}'),
            Blame.CLIENT,
        ),
        (failed(rpc_code=-32052, response=None), Blame.SERVER),
        (failed(error_class="call_timed_out", rpc_code=None), Blame.SERVER),
        (failed(error_class="connection_lost", rpc_code=None), Blame.SERVER),
        (failed(error_class="client_gone", rpc_code=None), Blame.CLIENT),
        (failed(error_class="tool_refused", rpc_code=-32602), Blame.CLIENT),
        (failed(error_class="bridge_unavailable", rpc_code=None), Blame.CLIENT),
        (failed(error_class="tool_error", rpc_code=None), Blame.TOOL),
        (
            failed(error_class="http_error", rpc_code=None, http_status=500),
            Blame.SERVER,
        ),
        (
            failed(error_class="http_error", rpc_code=None, http_status=404),
            Blame.CLIENT,
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Blame) else None,
)
def test_a_server_is_blamed_for_its_own_failures_alone(
    call: FailedCall, whose: Blame
) -> None:
    assert blame(call) is whose


def calls(
    *failures: FailedCall, good: float | None = None, has_canary: bool = False
) -> Step:
    last = None if good is None else NOON - timedelta(seconds=good)
    return judge(Traffic(last, failures), NOON, 30, has_canary=has_canary)


TOOL = failed(error_class="tool_error", rpc_code=None)


def test_a_server_that_fails_every_call_fails_its_check_and_shows_the_newest_answer() -> (
    None
):
    step = calls(failed(response='{"error":"newest"}'), failed(5), good=300)

    assert step.result is StepResult.FAILED
    assert step.answer == '{"error":"newest"}'


def test_one_call_that_went_well_within_the_interval_acquits() -> None:
    assert calls(failed(1), good=10).result is StepResult.PASSED


def test_failures_before_the_last_good_call_do_not_count() -> None:
    assert calls(failed(100), good=60).result is StepResult.PASSED


def test_clients_mistakes_are_no_calls() -> None:
    step = calls(*[failed(rpc_code=-32602)] * 50)

    assert step.result is StepResult.SKIPPED
    assert step.detail == "No call was seen."


def test_a_tools_own_failures_count_from_the_third_in_a_row() -> None:
    assert calls(TOOL, TOOL).result is StepResult.PASSED
    assert calls(TOOL, TOOL, TOOL).result is StepResult.FAILED


def test_a_canary_that_succeeds_makes_a_tools_own_failures_its_callers() -> None:
    assert calls(*[TOOL] * 5, has_canary=True).result is StepResult.PASSED
    assert calls(failed(), has_canary=True).result is StepResult.FAILED


# -- rhythm


def test_a_check_that_times_out_still_ends_within_the_interval() -> None:
    policy = HealthPolicy(interval_s=30, timeout_s=10)

    assert rhythm_s(policy) + policy.timeout_s < policy.interval_s


def test_a_thousand_servers_are_spread_evenly_over_the_rhythm() -> None:
    every = rhythm_s(POLICY)
    moments = sorted(next_check(server, POLICY, NOON) for server in range(1, 1001))

    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]

    assert moments[-1] - moments[0] < timedelta(seconds=every)
    assert max(gaps) < 5 * every / 1000


def test_a_servers_moments_are_the_same_whoever_reckons_and_whenever() -> None:
    first = next_check(7, POLICY, NOON)

    assert next_check(7, POLICY, first - timedelta(seconds=0.01)) == first
    again = next_check(7, POLICY, first + timedelta(seconds=0.01))
    assert (again - first).total_seconds() == pytest.approx(rhythm_s(POLICY), abs=1e-3)


# -- policy


def test_a_policy_comes_back_as_it_was_stored() -> None:
    policy = HealthPolicy(5, 2, 3, 2, Canary("now", {"zone": "UTC"}))

    assert policies.from_dict(policies.as_dict(policy)) == policy
    assert policies.from_dict({}) == HealthPolicy()


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (HealthPolicy(interval_s=0.5), "health.interval_s"),
        (HealthPolicy(interval_s=float("nan")), "health.interval_s"),
        (HealthPolicy(interval_s=5, timeout_s=6), "health.timeout_s"),
        (HealthPolicy(failures=0), "health.failures"),
        (HealthPolicy(successes=21), "health.successes"),
        (HealthPolicy(canary=Canary("")), "health.canary.tool"),
        (
            HealthPolicy(canary=Canary("t", {"a": "x" * 70_000})),
            "health.canary.arguments",
        ),
    ],
)
def test_a_bad_policy_names_its_field(policy: HealthPolicy, field: str) -> None:
    assert list(policies.problems(policy)) == [field]


# -- the day


def change(minute: float, status: str, reason: str = "") -> StatusChange:
    at = NOON + timedelta(minutes=minute)
    return StatusChange(int(minute * 10) + 1000, at, "", status, reason, None)


def test_the_share_of_a_window_leaves_out_what_was_wanted() -> None:
    day = uptime(
        [
            change(-5, "running"),
            change(30, "degraded", "why"),
            change(40, "running"),
            change(50, "stopped"),
        ],
        NOON,
        NOON + timedelta(hours=1),
    )

    assert [(span.status, span.seconds / 60) for span in day.spans] == [
        ("running", 30),
        ("degraded", 10),
        ("running", 10),
        ("stopped", 10),
    ]
    assert day.share == pytest.approx(0.8)


def test_a_strip_shows_the_worst_of_each_part_and_nothing_before_the_server() -> None:
    day = uptime(
        [change(30, "running"), change(47, "degraded"), change(48, "running")],
        NOON,
        NOON + timedelta(hours=1),
    )

    assert [status for status, _ in strip(day, 4)] == [
        "none",
        "none",
        "running",
        "degraded",
    ]
