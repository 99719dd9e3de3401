"""Runs on a real Postgres: people at once, edits in mid-run, jobs run twice, real programs and mail servers."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from email import message_from_bytes
from typing import Any

import pytest

from appliance.accounts.errors import NotAllowedError
from appliance.core.errors import DomainError, ForbiddenError, InvalidError
from appliance.governance import keeping, store
from appliance.governance.errors import (
    AlreadyDecidedError,
    CallbackRefusedError,
    NotAnApproverError,
    RunEndedError,
    RunNotFoundError,
    SelfApprovalError,
    StaleVersionError,
    StepNotOpenError,
    WorkflowInUseError,
    WorkflowNotFoundError,
)
from appliance.governance.model import NewWorkflow, Notify, Outcome, Status, Step
from appliance.infra.database import Database
from appliance.notifying.errors import SendRefusedError
from appliance.notifying.sending import Delivery, Sender
from tests.fakes.receivers import MailServer, Program
from tests.harness.governing import (
    APPROVAL,
    NO,
    TIER,
    YES,
    World,
    digest,
    world_of,
)
from tests.harness.waiting import until


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def test_two_reviewers_at_once_count_as_two_and_end_the_step_once(
    world: World,
) -> None:
    await world.workflow(Step("review", "approval", {"quorum": 2}), APPROVAL)
    run = await world.start()

    await asyncio.gather(
        world.governance.runs.decide(world.bob, run, 1, YES),
        world.governance.runs.decide(world.cid, run, 1, YES),
    )

    view = await world.look(run)
    assert {item.person for item in view.run.steps[0].approvals} == {
        "bob@example.org",
        "cid@example.org",
    }
    kinds = [line.kind for line in view.log]
    assert kinds.count("approved") == 2
    assert kinds.count("step_completed") == 1
    assert view.run.current is not None
    assert view.run.current.position == 2


async def test_one_person_twice_at_once_counts_once(world: World) -> None:
    await world.workflow(Step("review", "approval", {"quorum": 2}))
    run = await world.start()

    outcomes = await asyncio.gather(
        *(world.governance.runs.decide(world.bob, run, 1, YES) for _ in range(3)),
        return_exceptions=True,
    )

    refused = [item for item in outcomes if isinstance(item, AlreadyDecidedError)]
    assert len(refused) == 2
    assert (await world.look(run)).run.status is Status.IN_PROGRESS


async def test_approving_and_rejecting_at_once_has_one_outcome(world: World) -> None:
    await world.workflow(APPROVAL)
    run = await world.start()

    outcomes = await asyncio.gather(
        world.governance.runs.decide(world.bob, run, 1, YES),
        world.governance.runs.decide(world.cid, run, 1, NO),
        return_exceptions=True,
    )

    assert [isinstance(item, RunEndedError) for item in outcomes].count(True) == 1
    view = await world.look(run)
    assert [line.kind for line in view.log].count(view.run.status.value) >= 1
    assert view.run.status in {Status.COMPLETED, Status.REJECTED}


async def test_a_stale_version_is_refused_and_told_the_state(world: World) -> None:
    await world.workflow(APPROVAL, APPROVAL)
    run = await world.start()
    seen = (await world.look(run)).run.version
    await world.governance.runs.decide(world.bob, run, 1, YES, version=seen)

    with pytest.raises(StaleVersionError, match="in_progress"):
        await world.governance.runs.set_status(
            world.bob, run, Status.CANCELLED, version=seen
        )
    with pytest.raises(StepNotOpenError, match="turn of step 2"):
        await world.governance.runs.decide(world.cid, run, 1, YES)


async def test_who_started_a_run_approves_it_only_where_the_step_allows(
    world: World,
) -> None:
    await world.workflow(APPROVAL)
    await world.workflow(Step("own", "approval", {"allow_self": True}), name="alone")
    strict, loose = await world.start(), await world.start("alone")

    with pytest.raises(SelfApprovalError):
        await world.governance.runs.decide(world.ada, strict, 1, YES)
    done = await world.governance.runs.decide(world.ada, loose, 1, YES)
    withdrawn = await world.governance.runs.decide(world.ada, strict, 1, NO)

    assert done.run.status is Status.COMPLETED
    assert withdrawn.run.status is Status.REJECTED


async def test_a_stranger_knows_of_nothing_and_one_who_is_named_decides(
    world: World,
) -> None:
    runs = world.governance.runs
    named = {"name": "outside", "people": ["eve@example.org"]}
    await world.workflow(APPROVAL)
    await world.workflow(Step("ask eve", "approval", {"groups": [named]}), name="eves")
    hidden, hers = await world.start(), await world.start("eves")

    with pytest.raises(RunNotFoundError):
        await runs.get(world.eve, hidden)
    with pytest.raises(RunNotFoundError):
        await runs.decide(world.eve, hidden, 1, YES)
    with pytest.raises(WorkflowNotFoundError):
        await world.governance.workflows.get(world.eve, "eves")
    assert [run.id for run in await runs.page(world.eve)] == [hers]
    assert [item.run.id for item in await runs.inbox(world.eve)] == [hers]
    assert [item.run.id for item in await runs.inbox(world.bob)] == [hidden]
    with pytest.raises(NotAnApproverError, match="others"):
        await runs.decide(world.bob, hers, 1, YES)
    with pytest.raises(NotAllowedError):
        await runs.set_status(world.eve, hers, Status.CANCELLED)
    assert (await runs.decide(world.eve, hers, 1, YES)).run.status is Status.COMPLETED
    assert await runs.inbox_count(world.eve) == 0


async def test_a_reader_of_the_box_sees_all_and_changes_nothing(world: World) -> None:
    named = {"name": "readers", "people": ["reader@example.org"]}
    await world.workflow(Step("review", "approval", {"groups": [named]}))
    run = await world.start()

    assert (await world.governance.runs.get(world.reader, run)).run.id == run
    assert await world.governance.runs.inbox_count(world.reader) == 0
    for attempt in (
        world.governance.runs.decide(world.reader, run, 1, YES),
        world.governance.runs.set_status(world.reader, run, Status.CANCELLED),
        world.governance.runs.start(
            world.reader, "release", digest=digest(1), tier=TIER
        ),
        world.governance.workflows.delete(world.reader, "release"),
    ):
        with pytest.raises(ForbiddenError):
            await attempt


async def test_a_workflow_edited_in_mid_run_changes_nothing_there(
    world: World,
) -> None:
    await world.workflow(APPROVAL, APPROVAL)
    run = await world.start()
    edit = NewWorkflow("release", (Step("wait", "soak", {"seconds": 9}),))

    await asyncio.gather(
        world.governance.workflows.change(world.bob, "release", edit),
        world.governance.runs.decide(world.cid, run, 1, YES),
    )
    view = await world.look(run)
    after = await world.governance.runs.decide(world.bob, run, 2, YES)

    assert [step.step.kind for step in view.steps] == ["approval", "approval"]
    assert view.run.workflow_version == 1
    assert after.run.status is Status.COMPLETED
    with pytest.raises(StaleVersionError):
        await world.governance.workflows.change(world.bob, "release", edit, version=1)


async def test_a_workflow_at_work_stays_and_what_ran_of_it_outlives_it(
    world: World,
) -> None:
    await world.workflow(APPROVAL)
    run = await world.start()

    with pytest.raises(WorkflowInUseError):
        await world.governance.workflows.delete(world.ada, "release")
    await world.governance.runs.decide(world.bob, run, 1, YES)
    await world.governance.workflows.delete(world.ada, "release")

    view = await world.look(run)
    assert (view.run.workflow_id, view.run.workflow_name) == (None, "release")


async def test_a_workflow_decides_about_its_own_tiers_alone(world: World) -> None:
    await world.workflow(APPROVAL, tier="silver:*")

    with pytest.raises(InvalidError, match="silver"):
        await world.start()


async def test_the_end_of_a_run_has_promotions_and_holds_looked_at(
    world: World,
) -> None:
    await world.workflow(APPROVAL)
    run = await world.start()
    await world.governance.runs.decide(world.bob, run, 1, YES)

    assert {"run_id": run} in await world.jobs("promotions.synchronise")
    assert await world.jobs("policy.review") == [{"digest": digest(1)}]


async def test_time_ends_runs_by_the_clock_of_postgres(world: World) -> None:
    await world.workflow(APPROVAL, expires_after_s=3600)
    await world.workflow(Step("slow", "approval", {}, timeout_s=60), name="slow")
    late, slow, fresh = (
        await world.start(),
        await world.start("slow"),
        await world.start(),
    )
    sql = "UPDATE governance_runs SET expires_at = now() WHERE id = %s"
    steps = "UPDATE governance_step_runs SET due_at = now() WHERE run_id = %s"
    await world.database.run(world.database.peewee.execute_sql, sql, (late,))
    await world.database.run(world.database.peewee.execute_sql, steps, (slow,))

    await world.governance.sweep()
    await world.governance.sweep()

    found = [(await world.look(run)).run.status for run in (late, slow, fresh)]
    assert found == [Status.EXPIRED, Status.EXPIRED, Status.IN_PROGRESS]
    with pytest.raises(RunEndedError, match="expired"):
        await world.governance.runs.decide(world.bob, late, 1, YES)


# -- automatic steps


async def test_another_rooms_word_counts_once_and_only_in_its_turn(
    world: World,
) -> None:
    await world.workflow(
        Step("tests", "evaluation", {"suite": "smoke"}), APPROVAL, APPROVAL
    )
    run = await world.start()
    step = (await world.look(run)).run.steps[0].id
    async with world.at_work():
        await until(lambda: _asked(world))
        (job,) = await world.jobs("evaluations.run")
    await world.governance.sweep()  # looks again, asks nobody twice
    async with world.at_work():
        await until(lambda: _idle(world, "governance.step"))

    for outcome in (Outcome.PASSED, Outcome.FAILED):
        await world.database.run(
            keeping.end_step, step, outcome, "said", {"run": 3}, actor=world.ada
        )

    view = await world.look(run)
    assert job == {"suite": "smoke", "digest": digest(1), "tier": TIER, "artifact_run_id": None, "for_step": step}  # fmt: skip
    assert await world.jobs("evaluations.run") == [job]
    assert view.run.steps[0].status is Status.COMPLETED
    assert view.run.steps[0].evidence == {"run": 3}
    assert view.run.status is Status.IN_PROGRESS


async def _asked(world: World) -> bool:
    return bool(await world.jobs("evaluations.run"))


async def _idle(world: World, kind: str) -> bool:
    sql = "SELECT count(*) FROM jobs WHERE kind = %s AND state IN ('queued', 'running')"
    cursor = await world.database.run(world.database.peewee.execute_sql, sql, (kind,))
    return bool(cursor.fetchone()[0] == 0)


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    made = Program()
    await made.server.start_server()
    yield made
    await made.server.close()


async def test_a_program_is_told_signed_and_again_until_it_takes_it(
    world: World, program: Program
) -> None:
    program.answers = [503, 204]
    new = NewWorkflow("hooked", (Step("tell", "webhook", {"url": program.url}),))
    _, secret = await world.governance.workflows.create(world.ada, new)
    run = await world.start("hooked")

    async with world.at_work():
        await until(lambda: _has(world, run, Status.COMPLETED))

    (first, body), (second, _) = program.heard
    stamp = second["X-MCP-Host-Timestamp"]
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    assert second["X-MCP-Host-Signature"] == f"sha256={mac.hexdigest()}"
    assert first["X-MCP-Host-Delivery"] == second["X-MCP-Host-Delivery"]
    assert json.loads(body)["run"]["manifest_digest"] == digest(1)
    assert "callback" not in json.loads(body)


async def _has(world: World, run: int, status: Status) -> bool:
    return (await world.look(run)).run.status is status


async def test_a_program_that_refuses_fails_the_step(
    world: World, program: Program
) -> None:
    program.answers = [403]
    await world.workflow(Step("tell", "webhook", {"url": program.url}))
    run = await world.start()

    async with world.at_work():
        await until(lambda: _has(world, run, Status.FAILED))

    assert len(program.heard) == 1
    assert "answered 403" in (await world.look(run)).run.reason


async def test_a_program_that_is_waited_for_answers_with_its_token_and_no_other(
    world: World, program: Program
) -> None:
    await world.workflow(Step("ask", "webhook", {"url": program.url, "wait": True}))
    run, other = await world.start(), await world.start(number=2)
    async with world.at_work():
        await until(lambda: len(program.heard) == 2)
    told = {item["run"]["id"]: item for item in map(json.loads, [b for _, b in program.heard])}  # fmt: skip
    step, token = told[run]["step"]["id"], told[run]["callback"]["token"]

    with pytest.raises(CallbackRefusedError):
        await world.governance.runs.answer(
            told[other]["step"]["id"], token, Outcome.PASSED, ""
        )
    for _ in range(2):
        await world.governance.runs.answer(step, token, Outcome.PASSED, "Fine.")

    assert told[run]["callback"]["url"].endswith(f"/api/governance/callbacks/{step}")
    assert (await world.look(run)).run.status is Status.COMPLETED
    assert (await world.look(other)).run.status is Status.IN_PROGRESS


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "http://localhost/x", "http://169.254.169.254/", "http://[::1]/", "http://2130706433/"],
)  # fmt: skip
async def test_nothing_is_sent_to_this_box_or_its_neighbours(url: str) -> None:
    with pytest.raises(SendRefusedError, match="this box"):
        await Sender(allow_private=False).send(Delivery(url, "1", {}, b"s"))


async def test_a_soak_goes_on_after_its_job_was_lost(world: World) -> None:
    await world.workflow(Step("wait", "soak", {"seconds": 1}))
    run = await world.start()
    # As a worker leaves it that was killed before it wrote anything, and whose job somebody removed.
    sql = "DELETE FROM jobs WHERE kind = 'governance.step'"
    await world.database.run(world.database.peewee.execute_sql, sql)

    await world.governance.sweep()
    async with world.at_work():
        await until(lambda: _has(world, run, Status.COMPLETED))

    (step,) = (await world.look(run)).run.steps
    assert step.evidence["counted_s"] >= 1


async def test_credentials_cannot_be_rotated_without_a_registry(world: World) -> None:
    await world.workflow(Step("rotate", "credential-rotation"))
    run = await world.start()

    async with world.at_work():
        await until(lambda: _has(world, run, Status.FAILED))

    assert "REGISTRY is not set" in (await world.look(run)).run.reason


# -- notifications


async def test_people_and_programs_hear_of_a_run(
    database: Database, program: Program
) -> None:
    server = MailServer()
    await server.start()
    world = await world_of(
        database,
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        smtp_tls="none",
        smtp_from="box@example.org",
        public_url="https://mcp.example.org",
    )
    notify = Notify(("bob@example.org", "nobody@example.org"), (program.url,))
    await world.workflow(APPROVAL, notify=notify)
    run = await world.start()

    async with world.at_work():
        await until(lambda: len(server.mails) == 1)
        await world.governance.runs.decide(world.bob, run, 1, NO)
        await until(lambda: len(server.mails) == 2)
        await until(lambda: _idle(world, "governance.notify"))
    await server.close()

    wanted, ended = (message_from_bytes(mail) for mail in server.mails)
    log = [(line.kind, line.note) for line in (await world.look(run)).log]
    assert wanted["Subject"].startswith("Approval wanted")
    assert wanted["To"] == "bob@example.org"
    assert f"https://mcp.example.org/governance/runs/{run}" in str(wanted)
    assert "rejected" in ended["Subject"]
    assert "It smells." in str(ended)
    assert ("notified", "bob@example.org") in log
    failed = [note for kind, note in log if kind == "notify_failed"]
    assert all("no such person" in note for note in failed)
    assert failed
    events = sorted(json.loads(body)["event"] for _, body in program.heard)
    assert events == ["governance.run.ended", "governance.run.waiting"]


async def test_without_a_mail_server_the_log_says_so(world: World) -> None:
    await world.workflow(APPROVAL, notify=Notify(("bob@example.org",)))
    run = await world.start()

    async with world.at_work():
        await until(lambda: _idle(world, "governance.notify"))

    (note,) = [line.note for line in (await world.look(run)).log if line.kind == "notify_failed"]  # fmt: skip
    assert "SMTP_HOST" in note


async def test_what_is_refused_leaves_nothing_behind(world: World) -> None:
    bad: list[Any] = [
        {"digest": "sha256:short", "tier": TIER},
        {"digest": digest(1)},
        {"digest": digest(1), "tier": "gold:*"},
        {"artifact_run_id": 99},
    ]
    await world.workflow(APPROVAL)
    for wanted in bad:
        with pytest.raises(DomainError):
            await world.governance.runs.start(world.ada, "release", **wanted)

    assert await world.governance.runs.page(world.ada) == []
    assert await world.database.run(store.waiting) == []
