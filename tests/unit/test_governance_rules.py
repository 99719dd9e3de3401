"""How runs go on, who may approve, and what settings of steps mean."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.accounts.model import Action, MemberRole, Principal, Role, Scope
from appliance.core.errors import InvalidError
from appliance.governance import transitions
from appliance.governance.errors import (
    AlreadyDecidedError,
    RunEndedError,
    StepNotOpenError,
    StepsOpenError,
)
from appliance.governance.model import (
    Approval,
    NewWorkflow,
    Notify,
    Outcome,
    Run,
    Status,
    Step,
    StepRun,
    Verdict,
)
from appliance.governance.steps import KINDS
from appliance.governance.steps.approval import deciding_groups, line_of, standing
from appliance.governance.steps.base import Done, Wait
from appliance.governance.steps.soak import Reading, look
from appliance.governance.workflows import checked

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def run_of(*kinds: str, **columns: Any) -> Run:
    steps = tuple(
        StepRun(100 + number, number, f"step {number}", kind, {}, None)
        for number, kind in enumerate(kinds, 1)
    )
    run = Run(
        id=1,
        workflow_id=1,
        workflow_name="release",
        workflow_version=1,
        owner_id=1,
        org_id=None,
        tier="gold:npm",
        digest="sha256:" + "a" * 64,
        artifact_run_id=None,
        title="Release",
        status=Status.PENDING,
        reason="",
        version=1,
        notify=Notify(),
        started_by_id=1,
        started_by="ada@example.org",
        created_at=AT,
        updated_at=AT,
        ended_at=None,
        expires_at=None,
        steps=steps,
    )
    return replace(run, **columns)


def begun(*kinds: str, **columns: Any) -> Run:
    return transitions.begin(run_of(*kinds, **columns), AT).run


def says(user_id: int, verdict: Verdict = Verdict.APPROVE, *groups: str) -> Approval:
    return Approval(user_id, f"{user_id}@example.org", verdict, groups, "", AT)


def passed(run: Run, position: int) -> transitions.Change:
    return transitions.end_step(
        run, position, Outcome.PASSED, summary="ok", evidence=None, at=AT
    )


def test_steps_have_their_turn_one_after_another_and_the_last_completes_the_run() -> (
    None
):
    run = begun("soak", "approval")

    after = passed(run, 1)
    done = transitions.decide(after.run, 2, says(2), is_met=True)

    assert run.current is not None
    assert run.current.position == 1
    assert after.opened == (2,)
    assert done.run.status is Status.COMPLETED
    assert [step.status for step in done.run.steps] == [Status.COMPLETED] * 2
    assert [line.kind for line in done.lines] == ["approved", "step_completed", "completed"]  # fmt: skip


def test_no_step_is_skipped_and_none_ends_twice() -> None:
    run = begun("soak", "soak")
    after = passed(run, 1).run

    with pytest.raises(StepNotOpenError, match="turn of step 1"):
        passed(run, 2)
    with pytest.raises(StepNotOpenError, match="turn of step 2"):
        passed(after, 1)
    with pytest.raises(StepsOpenError, match="Step 2"):
        transitions.set_status(after, Status.COMPLETED, "", AT)


@pytest.mark.parametrize("status", [item for item in Status if item.is_ended])
def test_what_has_ended_stays_ended(status: Status) -> None:
    run = begun("approval", status=Status.PENDING)
    ended = replace(run, status=status)

    attempts: tuple[Callable[[], object], ...] = (
        lambda: transitions.decide(ended, 1, says(2), is_met=True),
        lambda: passed(ended, 1),
        lambda: transitions.set_status(ended, Status.CANCELLED, "", AT),
        lambda: transitions.set_status(ended, Status.COMPLETED, "", AT),
        lambda: transitions.begin(ended, AT),
    )
    for change in attempts:
        with pytest.raises(RunEndedError, match=status.value):
            change()
    assert transitions.overdue(ended, AT + timedelta(days=999)) is None


def test_a_person_decides_once() -> None:
    run = transitions.decide(begun("approval"), 1, says(2), is_met=False).run

    with pytest.raises(AlreadyDecidedError):
        transitions.decide(run, 1, says(2), is_met=True)


def test_one_rejection_ends_the_run_and_cancels_what_is_open() -> None:
    run = begun("approval", "soak")

    ended = transitions.decide(run, 1, says(2, Verdict.REJECT), is_met=False).run

    assert ended.status is Status.REJECTED
    assert "2@example.org" in ended.reason
    assert [step.status for step in ended.steps] == [Status.REJECTED, Status.CANCELLED]


def test_a_failed_step_fails_the_run_with_its_reason() -> None:
    change = transitions.end_step(
        begun("webhook"), 1, Outcome.FAILED, summary="no", evidence={"a": 1}, at=AT
    )

    assert change.run.status is Status.FAILED
    assert change.run.reason == "Step 1 (step 1) failed: no"
    assert change.run.steps[0].evidence == {"a": 1}


def test_a_run_without_steps_is_completed_by_hand() -> None:
    run = begun()

    done = transitions.set_status(run, Status.COMPLETED, "Seen.", AT).run

    assert run.status is Status.IN_PROGRESS
    assert (done.status, done.reason) == (Status.COMPLETED, "Seen.")


def test_time_ends_a_run_or_its_step_and_not_before() -> None:
    run = begun("approval", expires_at=AT + timedelta(hours=1))
    slow = begun("approval")
    slow = replace(
        slow, steps=(replace(slow.steps[0], due_at=AT + timedelta(minutes=1)),)
    )

    assert transitions.overdue(run, AT + timedelta(minutes=59)) is None
    expired = transitions.overdue(run, AT + timedelta(hours=1))
    late = transitions.overdue(slow, AT + timedelta(minutes=1))

    assert expired is not None
    assert expired.run.steps[0].status is Status.EXPIRED
    assert late is not None
    assert late.run.status is Status.EXPIRED
    assert "Step 1" in late.run.reason


GROUPS = {
    "quorum": 2,
    "groups": [
        {"name": "security", "org": "acme", "role": "maintainer", "quorum": 1},
        {"name": "release", "people": ["Ada@example.org", "bob@example.org"]},
    ],
}


def config(**changes: Any) -> dict[str, Any]:
    found = KINDS["approval"].parse(GROUPS | changes)
    for group in found["groups"]:
        if "org" in group:
            group["org_id"] = 7
    return found


def person(name: str, member: MemberRole | None = None, **fields: Any) -> Principal:
    memberships = {7: member} if member else {}
    values: dict[str, Any] = {"role": Role.MEMBER, "memberships": memberships} | fields
    return Principal(5, f"{name}@example.org", via="session", **values)


@pytest.mark.parametrize(
    ("who", "groups"),
    [
        (person("ada"), ("release",)),
        (person("eve"), None),
        (person("eve", MemberRole.DEPLOYER), None),
        (person("eve", MemberRole.MAINTAINER), ("security",)),
        (person("bob", MemberRole.OWNER), ("security", "release")),
        (person("bob", role=Role.READER), None),
        (person("bob", scope=Scope(frozenset({Action.SEE}))), None),
        (person("bob", scope=Scope(None, frozenset({3}))), None),
        (person("root", role=Role.ADMIN), None),
    ],
)
def test_only_those_whom_a_group_names_decide(
    who: Principal, groups: tuple[str, ...] | None
) -> None:
    assert deciding_groups(config(), who, may_deploy=True) == groups


def test_where_no_group_is_named_whoever_may_deploy_decides() -> None:
    free = config(groups=[])

    assert deciding_groups(free, person("eve"), may_deploy=True) == ()
    assert deciding_groups(free, person("eve"), may_deploy=False) is None


def test_a_quorum_counts_people_and_every_group_its_own() -> None:
    release = [says(1, Verdict.APPROVE, "release"), says(2, Verdict.APPROVE, "release")]
    both = says(3, Verdict.APPROVE, "security", "release")

    assert not standing(config(), release).is_met  # nobody of security
    assert not standing(config(), [both]).is_met  # one person, in two groups
    assert standing(config(), [release[0], both]).is_met
    assert not standing(config(), [says(1, Verdict.REJECT, "release"), both]).is_met


def test_groups_are_written_in_a_form_as_they_are_shown() -> None:
    text = "security: acme/maintainer\nrelease: ada@example.org, bob@example.org (2)"

    found = KINDS["approval"].parse({"groups": text})

    assert "\n".join(line_of(group) for group in found["groups"]) == text


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        ("approval", {"quorum": 0}, "quorum"),
        ("approval", {"groups": ["nonsense"]}, "groups.0"),
        ("approval", {"groups": [{"name": "a", "org": "x", "role": "reader"}]}, "groups.0"),
        ("approval", {"groups": [{"name": "a", "people": ["a@b"], "quorum": 2}]}, "groups.0"),
        ("approval", {"groups": [{"name": "a"}]}, "groups.0"),
        ("approval", {"groups": [{"name": "a", "people": ["a@b"]}] * 2}, "groups"),
        ("approval", {"colour": 1}, "colour"),
        ("soak", {}, "seconds"),
        ("soak", {"seconds": True}, "seconds"),
        ("soak", {"seconds": "9" * 30}, "seconds"),
        ("evaluation", {}, "suite"),
        ("replay", {"calls": 0}, "calls"),
        ("webhook", {"url": "ftp://x"}, "url"),
        ("webhook", {"url": "https://a:b@x"}, "url"),
        ("webhook", {"url": "https://x", "wait": "yes"}, "wait"),
        ("recertification", {"requirements": []}, "requirements"),
        ("credential-rotation", {"now": True}, "now"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(
    kind: str, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        KINDS[kind].parse(settings)

    assert field in refused.value.fields


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (NewWorkflow("No Label", ()), "name"),
        (NewWorkflow("x", (), tier="platinum:*"), "tier"),
        (NewWorkflow("x", (), expires_after_s=0), "expires_after_s"),
        (NewWorkflow("x", (Step("a", "prayer"),)), "steps.0.kind"),
        (NewWorkflow("x", (Step("", "soak", {"seconds": 1}),)), "steps.0.name"),
        (NewWorkflow("x", (Step("a", "soak"),)), "steps.0.config.seconds"),
        (NewWorkflow("x", (), notify=Notify(("a b@x",))), "notify.emails.0"),
        (NewWorkflow("x", (), notify=Notify((), ("file:///etc",))), "notify.webhooks.0"),
    ],
)  # fmt: skip
def test_a_wrong_workflow_names_its_field(wanted: NewWorkflow, field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        checked(wanted)

    assert field in refused.value.fields


def test_a_soak_counts_by_a_clock_that_nobody_sets_and_not_while_the_box_is_off() -> (
    None
):
    first = look(100, {}, Reading("boot-1", 1000.0))
    assert isinstance(first, Wait)
    assert first.progress is not None
    second = look(100, first.progress, Reading("boot-1", 1060.0))
    assert isinstance(second, Wait)
    assert second.progress is not None

    # Another start of the box: what passed meanwhile is not known, so it does not count.
    third = look(100, second.progress, Reading("boot-2", 5000.0))
    assert isinstance(third, Wait)
    assert third.progress is not None
    assert third.progress["counted_s"] == 60.0
    assert isinstance(look(100, third.progress, Reading("boot-2", 5041.0)), Done)
