"""The decision: facts and a policy in, a decision out. Pure; the same facts and policy always make the same decision."""

from collections.abc import Iterable

from appliance.policy.document import EMPTY, Policy
from appliance.policy.findings import Effect, Finding
from appliance.policy.model import Decision, PolicyFacts, Purpose, Verdict
from appliance.policy.placement import REMOTE, place

_VERDICTS = {
    Effect.REFUSE: Verdict.REFUSE,
    Effect.EVALUATE: Verdict.HOLD_EVALUATION,
    Effect.GOVERN: Verdict.HOLD_GOVERNANCE,
}


def decide(facts: PolicyFacts, policy: Policy = EMPTY) -> Decision:
    """Return what may be done, and why."""
    rules = policy.of(facts)
    is_built = facts.request.image is not None
    builds = not is_built and facts.reusable is None and _is_made(facts)
    placement = place(facts, rules, builds=builds)
    found = [item for rule in rules for item in rule.judge(facts)]
    findings = [*placement.findings, *found, *_image_notes(facts, builds=builds)]
    held = [item for item in findings if item.effect is not Effect.NOTE]
    verdict = _verdict(facts, held)
    stands = [] if verdict in {Verdict.LAUNCH, Verdict.BUILD} else held
    return Decision(
        verdict=verdict,
        notes=_once(item.note for item in (*findings, *_candidate(facts, held))),
        actions=_once(item.action for item in stands if item.action),
        reason=_reason(facts, verdict, stands),
        backend=placement.backend,
        candidate_backend=placement.candidate,
        executor_name=placement.executor.name if placement.executor else "",
        image=_image(facts),
        build_required=builds,
        capability_requirements=placement.requirements,
        capabilities_satisfied=placement.executor is not None,
        manifest_digest=facts.digest,
        artifact_run_id=_run_id(facts),
        tier=facts.tier,
        evaluation_required=any(item.effect is Effect.EVALUATE for item in held),
        governance_required=any(item.effect is Effect.GOVERN for item in held),
        ends_running=facts.purpose is Purpose.KEEP
        and any(item.ends_running for item in held),
        reuses=_reuses(facts, verdict),
    )


def _is_made(facts: PolicyFacts) -> bool:
    """Tell whether an image has to be built: what others published is only fetched."""
    if facts.request.source_kind in {"image", REMOTE}:
        return False
    return not (facts.catalog_image and facts.artifact is None)


def _verdict(facts: PolicyFacts, held: list[Finding]) -> Verdict:
    heaviest = max((item.effect for item in held), default=Effect.NOTE)
    if heaviest is Effect.REFUSE:
        return Verdict.REFUSE
    if facts.request.image is None and facts.reusable is None:
        return Verdict.BUILD
    if heaviest is Effect.NOTE or facts.purpose is Purpose.CANDIDATE:
        return Verdict.LAUNCH
    return _VERDICTS[heaviest]


def _candidate(facts: PolicyFacts, held: list[Finding]) -> list[Finding]:
    """Return the note of an instance that runs only to be looked at."""
    is_candidate = facts.purpose is Purpose.CANDIDATE and held
    return [Finding("candidate:not-routed")] if is_candidate else []


def _image(facts: PolicyFacts) -> str:
    request = facts.request
    if request.image is not None:
        return request.image
    if facts.reusable:
        return facts.reusable.image
    return request.source if request.source_kind == "image" else facts.catalog_image


def _image_notes(facts: PolicyFacts, *, builds: bool) -> list[Finding]:
    request = facts.request
    if request.source_kind == REMOTE:
        return [Finding("image:none:remote")]
    if request.image is not None:
        if facts.artifact is None:
            return [Finding("artifact:none")]
        return [Finding(f"artifact:run:{facts.artifact.run_id}")]
    if facts.reusable:
        return [
            Finding(f"image:reused:{facts.reusable.number}:{facts.reusable.digest}")
        ]
    if builds:
        return [Finding(f"image:build:{request.source_kind}")]
    is_own = request.source_kind == "image"
    return [Finding(f"image:{'pull' if is_own else 'catalog'}:{_image(facts)}")]


def _run_id(facts: PolicyFacts) -> int | None:
    if facts.artifact:
        return facts.artifact.run_id
    return facts.reusable.run_id if facts.reusable else None


def _reuses(facts: PolicyFacts, verdict: Verdict) -> int | None:
    takes = facts.request.image is None and verdict is Verdict.LAUNCH
    return facts.reusable.number if takes and facts.reusable else None


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _reason(facts: PolicyFacts, verdict: Verdict, stands: list[Finding]) -> str:
    if not stands:
        return ""
    word = "refused" if verdict is Verdict.REFUSE else "held"
    told = _once(item.told for item in stands if item.told)
    what = f"{facts.request.server_name} ({facts.tier})"
    return f"The policy has {what} {word}: {'; '.join(told)}."
