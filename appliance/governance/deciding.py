"""Who may know of a run and decide about it. Runs inside ``database.run``."""

from dataclasses import dataclass

from appliance.accounts.access import may, require, require_known
from appliance.accounts.model import Action, Principal, Role
from appliance.governance import keeping, store, transitions
from appliance.governance.errors import (
    NotAnApproverError,
    RunNotFoundError,
    SelfApprovalError,
)
from appliance.governance.model import Approval, Run, StepRun, Verdict
from appliance.governance.steps import APPROVAL
from appliance.governance.steps.approval import (
    deciding_groups,
    is_named,
    line_of,
    standing,
)
from appliance.governance.steps.base import MAX_TEXT


@dataclass(frozen=True)
class Decision:
    """What somebody decides about an approval."""

    verdict: Verdict
    comment: str = ""


def may_know(principal: Principal, run: Run) -> bool:
    """Return whether somebody may look at a run: it is theirs to see, or a step of it names them."""
    return may(principal, Action.SEE, run.thing) or _is_named(principal, run)


def known(principal: Principal, run: Run, action: Action = Action.SEE) -> Run:
    """Return a run with which somebody may do something: it is theirs, or, to see it, a step of it names them.

    Raises:
        RunNotFoundError: They may not know of it.
        NotAllowedError: They may know of it, not do this.
    """
    if not _is_named(principal, run):
        missing = RunNotFoundError(f"There is no run {run.id}.")
        require(principal, action, run.thing, missing)
    elif action is not Action.SEE:
        require_known(principal, action, run.thing)
    return run


def _is_named(principal: Principal, run: Run) -> bool:
    """Return whether a step names somebody who comes with what may see everything of theirs."""
    scope = principal.scope
    if scope is not None and (
        scope.servers is not None
        or (scope.actions is not None and Action.SEE not in scope.actions)
    ):
        return False
    return any(
        step.kind == APPROVAL and is_named(step.config, principal) for step in run.steps
    )


def obstacle(principal: Principal, run: Run, step: StepRun) -> str:
    """Return what keeps somebody from deciding about a step whose turn it is; empty: nothing."""
    if _groups(principal, run, step) is None:
        return "It is for others to decide."
    if _is_self(principal, run) and not step.config["allow_self"]:
        return "You started it, so somebody else has to approve it."
    if any(item.user_id == principal.user_id for item in step.approvals):
        return "You have decided already."
    return ""


def decide(
    principal: Principal,
    run_id: int,
    position: int,
    decision: Decision,
    *,
    version: int | None = None,
) -> Run:
    """Write somebody's decision about an approval, and what follows from it.

    Raises:
        RunNotFoundError: There is no run of which they may know.
        NotAnApproverError: The step is for others to decide.
        SelfApprovalError: They started the run, and the step forbids that.
        AlreadyDecidedError: They decided before.
        RunEndedError, StepNotOpenError: It is not this step's turn.
        StaleVersionError: It is another version by now.
    """
    run = known(principal, store.locked(run_id, version=version))
    step = transitions.open_step(run, position)
    groups = _checked_groups(principal, run, step, decision.verdict)
    at = store.moment()
    given = Approval(
        user_id=principal.user_id or 0,
        person=principal.name,
        verdict=decision.verdict,
        groups=groups,
        comment=decision.comment.strip()[:MAX_TEXT],
        at=at,
    )
    is_met = standing(step.config, (*step.approvals, given)).is_met
    change = transitions.decide(run, position, given, is_met=is_met)
    after = keeping.settle(run, change, actor=principal, at=at)
    keeping.trail(
        principal,
        f"governance.{decision.verdict.value}",
        after,
        {"step": step.name, "position": position, "comment": given.comment},
    )
    return after


def _checked_groups(
    principal: Principal, run: Run, step: StepRun, verdict: Verdict
) -> tuple[str, ...]:
    if step.kind != APPROVAL:
        raise NotAnApproverError(
            f"Step {step.position} ({step.name}) is decided by itself, not by people."
        )
    groups = _groups(principal, run, step)
    if groups is None:
        named = "; ".join(line_of(group) for group in step.config["groups"])
        raise NotAnApproverError(
            f"Step {step.position} ({step.name}) is for others to decide.",
            hint=f"It asks {named}." if named else None,
        )
    # Whoever started it may still withdraw it.
    is_self = _is_self(principal, run) and verdict is Verdict.APPROVE
    if is_self and not step.config["allow_self"]:
        raise SelfApprovalError(
            f"You started run {run.id}, so somebody else has to approve it.",
            hint="The workflow's step says so (allow_self).",
        )
    return groups


def _is_self(principal: Principal, run: Run) -> bool:
    return run.started_by_id is not None and run.started_by_id == principal.user_id


def _groups(principal: Principal, run: Run, step: StepRun) -> tuple[str, ...] | None:
    if step.kind != APPROVAL or principal.role is Role.READER:
        return None
    may_deploy = may(principal, Action.DEPLOY, run.thing)
    return deciding_groups(step.config, principal, may_deploy=may_deploy)
