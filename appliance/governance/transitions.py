"""How a run goes on: every change of a run is one of these functions. Pure.

Steps have their turn one after another; none is skipped, none ends twice, and what ended stays ended. A run without steps
is completed by hand.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from appliance.governance.errors import (
    AlreadyDecidedError,
    RunEndedError,
    StepNotOpenError,
    StepsOpenError,
)
from appliance.governance.model import (
    Approval,
    Outcome,
    Run,
    Status,
    StepRun,
    Verdict,
)

#: What a run may be set to by hand.
BY_HAND = frozenset(
    {
        Status.IN_PROGRESS,
        Status.COMPLETED,
        Status.FAILED,
        Status.REJECTED,
        Status.CANCELLED,
    }
)


@dataclass(frozen=True)
class Line:
    """What happened, for the run's log."""

    kind: str
    note: str = ""
    position: int | None = None


@dataclass(frozen=True)
class Change:
    """A run as it is from now on, and what happened to it."""

    run: Run
    lines: tuple[Line, ...] = ()
    #: Positions of steps whose turn it has become.
    opened: tuple[int, ...] = field(default=())

    @property
    def has_ended(self) -> bool:
        """Whether the run ended just now."""
        return self.run.status.is_ended


def begin(run: Run, at: datetime) -> Change:
    """Return a pending run in progress, with its first step.

    Raises:
        RunEndedError: It has ended.
        StepNotOpenError: It is in progress already.
    """
    _require_open(run)
    if run.status is Status.IN_PROGRESS:
        raise StepNotOpenError(f"Run {run.id} is in progress already.")
    begun = replace(run, status=Status.IN_PROGRESS)
    return _go_on(begun, at, Line("started", run.title))


def decide(run: Run, position: int, given: Approval, *, is_met: bool) -> Change:
    """Return the run after somebody's decision about an approval.

    Args:
        run: As it is.
        position: Of the step.
        given: The decision.
        is_met: Whether with it the step has all the approvals that it needs.

    Raises:
        RunEndedError: The run has ended.
        StepNotOpenError: It is not this step's turn, or its turn is over.
        AlreadyDecidedError: The person decided before.
    """
    step = open_step(run, position)
    if any(item.user_id == given.user_id for item in step.approvals):
        raise AlreadyDecidedError(
            f"{given.person} has decided about step {position} already."
        )
    step = replace(step, approvals=(*step.approvals, given))
    decided = _with_step(run, step)
    if given.verdict is Verdict.REJECT:
        said = f"{given.person} rejected it" + (
            f": {given.comment}" if given.comment else "."
        )
        rejected = _ended(step, Status.REJECTED, said, given.at)
        line = Line("rejected", given.comment, position)
        return _end(_with_step(run, rejected), Status.REJECTED, said, given.at, line)
    line = Line("approved", given.comment, position)
    if not is_met:
        return Change(decided, (line,))
    who = ", ".join(item.person for item in step.approvals)
    return _passed(decided, step, f"Approved by {who}.", None, given.at, line)


def end_step(
    run: Run,
    position: int,
    outcome: Outcome,
    *,
    summary: str,
    evidence: Any,
    at: datetime,
) -> Change:
    """Return the run after an automatic step came to its end.

    Raises:
        RunEndedError: The run has ended.
        StepNotOpenError: It is not this step's turn, or its turn is over.
    """
    step = open_step(run, position)
    if outcome is Outcome.PASSED:
        return _passed(run, step, summary, evidence, at)
    failed = replace(_ended(step, Status.FAILED, summary, at), evidence=evidence)
    reason = f"Step {position} ({step.name}) failed: {summary}"
    lines = (Line("step_failed", summary, position),)
    return _end(_with_step(run, failed), Status.FAILED, reason, at, *lines)


def set_status(run: Run, status: Status, note: str, at: datetime) -> Change:
    """Return the run as somebody sets it by hand.

    Raises:
        RunEndedError: It has ended.
        StepsOpenError: It shall be complete, and steps are open.
        StepNotOpenError: It shall be in progress, and is.
    """
    _require_open(run)
    if status is Status.IN_PROGRESS:
        return begin(run, at)
    if status is Status.COMPLETED and (open_ := _first_open(run)) is not None:
        raise StepsOpenError(
            f"Step {open_.position} ({open_.name}) of run {run.id} is {open_.status.value}; no step is skipped.",
            hint="Approve or finish it; the run completes by itself after its last step.",
        )
    reason = note or f"Set to {status.value} by hand."
    return _end(run, status, reason, at)


def overdue(run: Run, at: datetime) -> Change | None:
    """Return the run after its time, or that of its step, is over; ``None``: neither is."""
    if run.status.is_ended:
        return None
    if run.expires_at is not None and at >= run.expires_at:
        return _end(run, Status.EXPIRED, "It was not completed in time.", at)
    step = run.current
    if step is None or step.due_at is None or at < step.due_at:
        return None
    summary = "It was not done in time."
    late = _ended(step, Status.EXPIRED, summary, at)
    lines = (Line("step_expired", summary, step.position),)
    reason = f"Step {step.position} ({step.name}) was not done in time."
    return _end(_with_step(run, late), Status.EXPIRED, reason, at, *lines)


def open_step(run: Run, position: int) -> StepRun:
    """Return the step whose turn it is.

    Raises:
        RunEndedError: The run has ended.
        StepNotOpenError: It is not this step's turn, or its turn is over.
    """
    _require_open(run)
    current = run.current
    if current is not None and current.position == position:
        return current
    turn = (
        f"it is the turn of step {current.position} ({current.name})"
        if current
        else "it has not begun"
    )
    raise StepNotOpenError(
        f"Step {position} of run {run.id} is not in progress: {turn}."
    )


def _require_open(run: Run) -> None:
    if run.status.is_ended:
        raise RunEndedError(
            f"Run {run.id} is {run.status.value} already"
            + (f": {run.reason}" if run.reason else ".")
        )


def _first_open(run: Run) -> StepRun | None:
    return next(
        (item for item in run.steps if item.status is not Status.COMPLETED), None
    )


def _passed(  # noqa: PLR0917 - one step's end, taken apart
    run: Run,
    step: StepRun,
    summary: str,
    evidence: Any,
    at: datetime,
    *before: Line,
) -> Change:
    done = replace(_ended(step, Status.COMPLETED, summary, at), evidence=evidence)
    line = Line("step_completed", summary, step.position)
    return _go_on(_with_step(run, done), at, *before, line)


def _go_on(run: Run, at: datetime, *lines: Line) -> Change:
    """Open the next step, or complete a run of which all steps are."""
    following = _first_open(run)
    if following is None:
        if not run.steps:
            return Change(run, lines)
        return _end(run, Status.COMPLETED, "All steps are completed.", at, *lines)
    due = (
        at + timedelta(seconds=following.timeout_s)
        if following.timeout_s is not None
        else None
    )
    opened = replace(following, status=Status.IN_PROGRESS, started_at=at, due_at=due)
    line = Line("step_started", following.name, following.position)
    return Change(_with_step(run, opened), (*lines, line), (following.position,))


def _end(run: Run, status: Status, reason: str, at: datetime, *lines: Line) -> Change:
    """End the run, and with it what of it is open."""
    left = Status.EXPIRED if status is Status.EXPIRED else Status.CANCELLED
    steps = tuple(
        item
        if item.status.is_ended
        else replace(
            item, status=left, ended_at=at if item.started_at else None, due_at=None
        )
        for item in run.steps
    )
    ended = replace(run, status=status, reason=reason, ended_at=at, steps=steps)
    return Change(ended, (*lines, Line(status.value, reason)))


def _ended(step: StepRun, status: Status, summary: str, at: datetime) -> StepRun:
    return replace(step, status=status, summary=summary, ended_at=at, due_at=None)


def _with_step(run: Run, step: StepRun) -> Run:
    steps = tuple(step if item.id == step.id else item for item in run.steps)
    return replace(run, steps=steps)
