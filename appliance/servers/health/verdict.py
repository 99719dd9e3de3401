"""From what a check found to a verdict. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from appliance.observability.redaction import redact_text
from appliance.servers.health.model import (
    Health,
    HealthState,
    Liveness,
    Step,
    StepResult,
)
from appliance.servers.health.policy import HealthPolicy

#: Letters of an answer that are kept, and that a reason quotes.
MAX_ANSWER = 2000
MAX_QUOTED = 300
#: In words, before what the server answered.
_WHAT = {
    "alive": "Its process does not run",
    "open": "It does not open",
    "tools/list": "It does not list its tools",
    "canary": "Its canary call fails",
    "calls": "Every call fails",
}


@dataclass(frozen=True)
class Finding:
    """What one check found out."""

    server_id: int
    deployment_id: int | None
    instance_id: int | None
    at: datetime
    duration_ms: float
    liveness: Liveness
    steps: tuple[Step, ...]
    #: ``False``: something of ours kept it from asking, and nothing is known of the server.
    is_conclusive: bool = True


def verdict(before: Health | None, found: Finding, policy: HealthPolicy) -> Health:
    """Return what is known of the server after a check.

    Args:
        before: The verdict so far; ``None`` or ``UNKNOWN``: nothing is known of this instance.
        found: By the check.
        policy: How many checks make up our mind.
    """
    before = before or Health(HealthState.UNKNOWN, "", "", 0, None, found.at)
    steps = tuple(
        replace(step, detail=shown(step.detail), answer=shown(step.answer))
        for step in found.steps
    )
    if not found.is_conclusive:
        return replace(before, steps=steps)
    after = replace(
        before,
        liveness=found.liveness,
        steps=steps,
        checked_at=found.at,
        instance_id=found.instance_id,
    )
    failed = next((step for step in steps if step.result is StepResult.FAILED), None)
    return _passed(after, policy) if failed is None else _failed(after, failed, policy)


def _passed(health: Health, policy: HealthPolicy) -> Health:
    health = replace(health, failures=0, successes=health.successes + 1)
    is_convincing = health.successes >= policy.successes
    if health.state is HealthState.FAILING and not is_convincing:
        return health
    return _become(health, HealthState.READY, reason="", answer="", cause="")


def _failed(health: Health, step: Step, policy: HealthPolicy) -> Health:
    answer = step.answer
    health = replace(health, failures=health.failures + 1, successes=0)
    is_failing = health.state is HealthState.FAILING
    if not is_failing and health.failures < policy.failures:
        return replace(health, answer=answer)
    cause = f"{step.name}:{step.cause}"
    # The sentence is part of the status: it changes with the cause, not with every check.
    is_news = not (is_failing and health.cause == cause)
    reason = _sentence(step, answer) if is_news else health.reason
    return _become(
        health, HealthState.FAILING, reason=reason, answer=answer, cause=cause
    )


def _become(
    health: Health, state: HealthState, *, reason: str, answer: str, cause: str
) -> Health:
    since = health.since if health.state is state else health.checked_at
    return replace(
        health,
        state=state,
        reason=reason,
        answer=answer,
        cause=cause,
        since=since or health.since,
    )


def _sentence(step: Step, answer: str) -> str:
    what = _WHAT.get(step.name, step.name)
    told = step.detail if step.detail.startswith(what) else f"{what}: {step.detail}"
    if not answer:
        return told
    quoted = " ".join(answer.split())
    if len(quoted) > MAX_QUOTED:
        quoted = f"{quoted[:MAX_QUOTED]}…"
    return f"{told} Answer: {quoted}"


def shown(answer: str) -> str:
    """Return an answer as people may see it: redacted, cut, and of printable letters."""
    cut = redact_text(answer)
    if len(cut) > MAX_ANSWER:
        cut = f"{cut[:MAX_ANSWER]}…"
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else "\N{REPLACEMENT CHARACTER}"
        for letter in cut
    )
