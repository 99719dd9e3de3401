"""When a run passes, what may be written of it, and what it certifies. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from appliance.evaluations.model import Certification, Finding, Origin, Status
from appliance.evaluations.suites import Certifies, Outcome, Result, Run, RunState

#: Results that evidence names one by one.
MAX_NAMED = 200


def state_of(results: Sequence[Result], pass_share: float) -> tuple[RunState, str]:
    """Return how a suite ended, and why, in words.

    A call that nobody answered is no verdict about the version, unless so many others failed that it cannot pass.
    """
    total = len(results)
    passed = sum(item.outcome is Outcome.PASSED for item in results)
    broken = [item for item in results if item.outcome is Outcome.BROKEN]
    if total == 0:
        return RunState.BROKEN, "There was nothing to run."
    # Shares are given as decimal fractions, which are not exact.
    if passed / total >= pass_share - 1e-9:
        return RunState.PASSED, ""
    if broken and (passed + len(broken)) / total >= pass_share - 1e-9:
        return RunState.BROKEN, broken[0].problem
    wrong = next(item for item in results if item.outcome is not Outcome.PASSED)
    return RunState.FAILED, f"{wrong.name}: {wrong.problem}"


def may_write(known: Certification | None, status: Status) -> bool:
    """Tell whether a run may change a certification: what a person found wrong is lifted by a person alone."""
    if known is None:
        return True
    finding = known.finding
    is_persons_no = finding.origin is Origin.PERSON and finding.status is Status.FAIL
    return status is Status.FAIL or not is_persons_no


def finding_of(
    run: Run, certifies: Certifies, at: datetime, *, origin: Origin, warn_days: int
) -> Finding:
    """Return what a run found, with itself as evidence."""
    is_passed = run.state is RunState.PASSED
    until = None
    if is_passed and certifies.valid_days is not None:
        until = at + timedelta(days=certifies.valid_days)
    return Finding(
        status=Status.PASS if is_passed else Status.FAIL,
        evidence=evidence_of(run),
        note=run.reason[:2000],
        valid_from=at if is_passed else None,
        valid_until=until,
        warn_days=warn_days,
        origin=origin,
        evaluation_run_id=run.id,
    )


def evidence_of(run: Run) -> dict[str, Any]:
    """Return what a run shows, small enough to be read."""
    found: dict[str, Any] = {
        "kind": run.kind.value,
        "run_id": run.id,
        "suite": run.suite_name,
        "deployment": run.deployment_number,
        "digest": run.digest,
        "state": run.state.value,
        "total": run.total,
        "passed": run.passed,
        "score": round(run.score, 4),
        "summary": dict(run.summary),
        "results": [
            {
                "name": item.name,
                "tool": item.tool,
                "outcome": item.outcome.value,
                "score": round(item.score, 4),
                "duration_ms": round(item.duration_ms, 1),
                "problem": item.problem[:300],
            }
            for item in run.results[:MAX_NAMED]
        ],
    }
    return found
