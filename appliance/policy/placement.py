"""By what something is run: what it needs, who can do it, and why another was taken than the one asked for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.policy.findings import Effect, Finding
from appliance.policy.model import ExecutorFact, PolicyFacts
from appliance.policy.rules.base import Rule

GPU = "gpu"
IMAGE_BUILD = "image-build"
ISOLATION = "isolation:"
STANDARD = "standard"
#: What runs servers that somebody else runs.
REMOTE = "remote"


@dataclass(frozen=True)
class Placement:
    """Where it goes."""

    #: ``None``: nobody can run it.
    executor: ExecutorFact | None
    candidate: str
    backend: str
    requirements: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def place(facts: PolicyFacts, rules: Sequence[Rule], *, builds: bool) -> Placement:
    """Return by what it is run.

    Args:
        facts: What is so.
        rules: Those that apply.
        builds: Whether an image has to be made first.
    """
    wanted = [name for rule in rules for name in rule.wanted_capabilities()]
    if facts.request.source_kind == REMOTE:
        return Placement(ExecutorFact(REMOTE), REMOTE, REMOTE, ())
    needs = tuple(dict.fromkeys([*_own_needs(facts, builds=builds), *wanted]))
    candidate = facts.request.backend or _first(facts)
    preferred = next(filter(None, (rule.wanted_backend() for rule in rules)), "")
    order = dict.fromkeys(
        [preferred, candidate, *(item.name for item in facts.executors)]
    )
    known = {item.name: item for item in facts.executors}
    able = [
        known[name]
        for name in order
        if name in known and not lacking(known[name], needs)
    ]
    if not able:
        return Placement(None, candidate, "", needs, tuple(_refusals(facts, needs)))
    chosen = able[0]
    notes = _notes(known, needs, preferred or candidate, chosen.name)
    if chosen.name != candidate:
        notes.append(Finding(f"backend:override:{candidate}:{chosen.name}"))
    return Placement(chosen, candidate, chosen.name, needs, tuple(notes))


def lacking(executor: ExecutorFact, needs: Sequence[str]) -> list[str]:
    """Return which of the needs an executor does not meet."""
    return [
        need
        for need in needs
        if not (
            need.removeprefix(ISOLATION) in executor.isolation_tiers
            if need.startswith(ISOLATION)
            else need in executor.capabilities
        )
    ]


def _own_needs(facts: PolicyFacts, *, builds: bool) -> list[str]:
    request = facts.request
    needs = [GPU] if request.use_gpu else []
    if builds:
        needs.append(IMAGE_BUILD)
    if request.isolation != STANDARD:
        needs.append(f"{ISOLATION}{request.isolation}")
    return needs


def _first(facts: PolicyFacts) -> str:
    return facts.executors[0].name if facts.executors else ""


def _notes(
    known: dict[str, ExecutorFact], needs: Sequence[str], wanted: str, chosen: str
) -> list[Finding]:
    """Return why it is not the one that was wanted most."""
    if wanted == chosen:
        return []
    if wanted not in known:
        return [Finding(f"backend:unavailable:{wanted}")]
    return [
        Finding(f"capability:missing:{need}:{wanted}")
        for need in lacking(known[wanted], needs)
    ]


def _refusals(facts: PolicyFacts, needs: Sequence[str]) -> list[Finding]:
    if not facts.executors:
        return [
            Finding(
                "backend:none",
                Effect.REFUSE,
                "nothing that could run it answers",
                "Look at the engine's state on the page Settings, or at /readyz.",
            )
        ]
    return [
        Finding(
            note=f"capability:missing:{need}:{item.name}",
            effect=Effect.REFUSE,
            told=f"{item.name} lacks {_words(need)}",
            action=_remedy(need),
        )
        for item in facts.executors
        for need in lacking(item, needs)
    ]


def _words(need: str) -> str:
    if need.startswith(ISOLATION):
        return f"the isolation {need.removeprefix(ISOLATION)}"
    return f"the capability {need}"


def _remedy(need: str) -> str:
    if need == GPU:
        return "Register the vendor's container toolkit with the engine, or leave the GPU out."
    if need.startswith(ISOLATION):
        return "Choose another isolation tier, or install what it needs (docs/isolation.md)."
    return f"Run it where {need} is to be had, or have the policy changed."
