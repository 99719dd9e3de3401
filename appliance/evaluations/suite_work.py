"""What a run of a suite does: its tests, one after another."""

import asyncio
from collections.abc import Mapping
from typing import Any

from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.evaluations.expectations import judge
from appliance.evaluations.judging import state_of
from appliance.evaluations.ports import Caller
from appliance.evaluations.showing import (
    Hiding,
    kept_arguments,
    kept_problem,
    kept_text,
)
from appliance.evaluations.suites import (
    NewTest,
    Outcome,
    Result,
    Run,
    RunState,
    Suite,
    Test,
    Version,
)

#: Bytes of an answer that expectations look at.
MAX_JUDGED = 2 * 1024**2


def plan_of(suite: Suite, tests: Mapping[int, Test]) -> dict[str, Any]:
    """Return what a run of a suite does, as it is now: what is changed later changes no run.

    Raises:
        InvalidError: It has no tests.
    """
    chosen = [
        tests[number].wanted for number in suite.wanted.test_ids if number in tests
    ]
    if not chosen:
        raise InvalidError.field("tests", "name at least one test")
    certifies = suite.wanted.certifies
    return {
        "tests": [test_as_json(item) for item in chosen],
        "pass_share": suite.wanted.pass_share,
        "certifies": None
        if certifies is None
        else {
            "requirement": certifies.requirement,
            "tier": certifies.tier,
            "valid_days": certifies.valid_days,
        },
    }


def test_as_json(test: NewTest) -> dict[str, Any]:
    """Return a test as a plan keeps it."""
    return {
        "name": test.name,
        "tool": test.tool,
        "arguments": dict(test.arguments),
        "expectation": dict(test.expectation),
        "timeout_s": test.timeout_s,
    }


class SuiteWork:
    """Runs the tests of a plan."""

    async def prepare(
        self, run: Run, _version: Version
    ) -> tuple[Mapping[str, Any], int]:
        """Return the plan as it was made."""
        return run.plan, len(run.plan["tests"])

    async def result(
        self, run: Run, position: int, caller: Caller, hide: Hiding
    ) -> Result:
        """Run one test."""
        test = NewTest(**run.plan["tests"][position])
        return await run_test(test, position, caller, hide)

    def verdict(self, run: Run) -> tuple[RunState, str, dict[str, Any]]:
        """Return how the suite ended."""
        state, reason = state_of(run.results, run.plan["pass_share"])
        return state, reason, {}


async def run_test(
    test: NewTest, position: int, caller: Caller, hide: Hiding
) -> Result:
    """Call a tool, and compare what it answers with what it should."""
    called = await caller.call(test.tool, test.arguments, test.timeout_s)
    outcome, score, problem = Outcome.PASSED, 1.0, ""
    if called.unavailable:
        outcome, score, problem = Outcome.BROKEN, 0.0, called.unavailable
    elif called.size_bytes > MAX_JUDGED:
        outcome, score = Outcome.FAILED, 0.0
        problem = f"It answered with {called.size_bytes} bytes; at most {MAX_JUDGED} are looked at."
    else:
        # Comparing may take long; the loop goes on meanwhile.
        verdict = await asyncio.to_thread(judge, test.expectation, called.answer)
        score, problem = verdict.score, verdict.problem
        outcome = Outcome.PASSED if verdict.is_passed else Outcome.FAILED
    return Result(
        position=position,
        name=test.name,
        tool=test.tool,
        arguments=kept_arguments(test.arguments, hide),
        outcome=outcome,
        # Whoever is close enough has passed; how close is told, and does not lower the score.
        score=1.0 if outcome is Outcome.PASSED else min(score, 0.99),
        problem=kept_problem(problem, hide),
        answered="" if called.unavailable else kept_text(called.answer, hide),
        duration_ms=called.duration_ms,
        size_bytes=called.size_bytes,
        at=now(),
    )
