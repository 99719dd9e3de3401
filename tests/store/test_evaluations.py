"""Runs on a real Postgres, of versions that answer what a test says: they go on after a crash, certify, and tell who waits."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.model import SYSTEM, Action, Principal
from appliance.artifacts.service import LedgerService
from appliance.evaluations import run_store, store
from appliance.evaluations.acceptance import Pair
from appliance.evaluations.certifying import CertificationService, certified
from appliance.evaluations.errors import RunFinishedError
from appliance.evaluations.files import EvidenceFiles
from appliance.evaluations.model import Finding, Status
from appliance.evaluations.ports import Subject
from appliance.evaluations.room import Evaluations
from appliance.evaluations.starting import NewReplay, lane_of
from appliance.evaluations.suites import (
    EXECUTE,
    Certifies,
    NewSuite,
    NewTest,
    Outcome,
    Run,
    RunState,
    Schedule,
    Suite,
)
from appliance.evaluations.tables import SuiteRow
from appliance.infra.database import Database, proxy
from appliance.jobs import store as jobs
from appliance.jobs.model import JobContext
from tests.fakes.evaluated import VERSION, FakeTargets, away, says
from tests.fakes.jobs import quiet_context
from tests.fakes.runs import digest
from tests.harness.invocations import add_calls

SMOKE = Certifies("smoke", valid_days=30)


class Box:
    """Evaluations of one server on a real Postgres."""

    def __init__(self, database: Database, directory: Path, server_id: int) -> None:
        self.database = database
        self.targets = FakeTargets(lambda tool, _: says(f"{tool} says noon"))
        self.server_id = server_id
        self.targets.live = replace(VERSION, server_id=server_id)

        def subject(_who: Principal, _server: int | str, _action: Action) -> Subject:
            return Subject(
                server_id, "time", 1, None, "npm", digest(3), "gold:npm", None
            )

        async def hide(_server_id: int) -> Any:
            return lambda text: text.replace("hunter2", "…")

        certifications = CertificationService(
            database,
            ledger=LedgerService(database, servers=lambda _: {}, targets=()),
            subjects=subject,
            files=EvidenceFiles(directory, max_bytes=1000),
        )
        self.room = Evaluations(
            database,
            certifications,
            subjects=subject,
            seen=lambda _: {server_id: "time"},
            targets=self.targets,
            hide=hide,
        )
        self.service = self.room.service

    async def suite(self, *tests: NewTest, **more: Any) -> Suite:
        made = [await self.room.book.put_test(SYSTEM, "time", item) for item in tests]
        wanted = NewSuite("all", tuple(item.id for item in made), **more)
        return await self.room.book.put_suite(SYSTEM, "time", wanted)

    async def execute(self, run: Run) -> Run:
        context = quiet_context(EXECUTE, {"run_id": run.id})
        await self.room.handlers[EXECUTE](context, {"run_id": run.id})
        return await self.service.run(SYSTEM, "time", run.id)

    async def ran(self, suite: Suite) -> Run:
        return await self.execute(
            await self.service.run_suite(SYSTEM, "time", suite.id)
        )

    async def certification(self) -> Any:
        def read() -> Any:
            return store.latest_for(
                digest(3), "gold:npm", ["smoke"], owner_id=1, org_id=None
            ).get("smoke")

        return await self.database.run(read)

    async def jobs(self, kind: str) -> list[Any]:
        return await self.database.run(lambda: jobs.page(kind=kind))


def asks(name: str, text: str = "noon") -> NewTest:
    return NewTest(name, name, {}, {"kind": "regex", "pattern": text})


@pytest.fixture
async def server_id(database: Database) -> int:
    """A server, as far as foreign keys ask."""

    def write() -> int:
        proxy.execute_sql(
            "INSERT INTO users (id, email, password_hash, role) VALUES (1, 'a@example.org', 'x', 'admin')"
        )
        cursor = proxy.execute_sql(
            "INSERT INTO servers (name, owner_id, source, config, endpoint_key_hash, endpoint_key_prefix)"
            " VALUES ('time', 1, '{}', '{}', '', '') RETURNING id"
        )
        return int(cursor.fetchone()[0])

    return await database.run(write)


@pytest.fixture
def recorded(database: Database) -> Any:
    """Record a call, as the scribe would."""

    async def record(
        server_id: int, tool: str, arguments: dict[str, Any], answer: dict[str, Any]
    ) -> None:
        request = json.dumps({"params": {"name": tool, "arguments": arguments}})
        response = json.dumps({"result": {"content": [], "structuredContent": answer}})
        await add_calls(
            database,
            1,
            server_id=server_id,
            target=tool,
            deployment_id=7,
            request=request,
            response=response,
            request_bytes=len(request),
            response_bytes=len(response),
        )

    return record


@pytest.fixture
async def box(database: Database, tmp_path: Path, server_id: int) -> Box:
    return Box(database, tmp_path, server_id)


async def test_a_suite_that_passes_certifies_what_it_ran_against(box: Box) -> None:
    run = await box.ran(await box.suite(asks("now"), asks("zone"), certifies=SMOKE))

    made = await box.certification()
    assert (run.state, run.passed, run.score) == (RunState.PASSED, 2, 1.0)
    assert run.certification_id == made.id
    assert made.about.manifest_digest == digest(3)
    assert (made.finding.status, made.finding.evaluation_run_id) == (
        Status.PASS,
        run.id,
    )
    assert made.finding.valid_until - made.finding.valid_from == timedelta(days=30)
    assert [item["name"] for item in made.finding.evidence["results"]] == [
        "now",
        "zone",
    ]
    (job,) = await box.jobs("policy.review")
    assert job.payload == {"digest": digest(3)}


async def test_a_suite_that_fails_says_so_and_what_a_person_refused_stays_refused(
    box: Box,
) -> None:
    suite = await box.suite(asks("now", "midnight"), asks("zone"), certifies=SMOKE)
    failed = await box.ran(suite)
    about = (await box.certification()).about

    def refuse() -> None:
        certified(SYSTEM, about, Finding(Status.FAIL, note="it lies"))

    await box.database.run(refuse)
    box.targets.answer = lambda *_: says("noon and midnight")
    passed = await box.ran(suite)

    assert (failed.state, failed.passed) == (RunState.FAILED, 1)
    assert failed.reason.startswith("now: midnight is not found in now says noon")
    assert passed.state is RunState.PASSED
    assert (passed.certification_id, passed.reason[:13]) == (None, "Not certified")
    assert (await box.certification()).finding.note == "it lies"


async def test_nobody_answering_is_no_verdict(box: Box) -> None:
    box.targets.answer = lambda *_: away("The gateway answered 503.")
    silent = await box.ran(await box.suite(asks("now"), certifies=SMOKE))
    box.targets.live = None
    gone = await box.database.run(
        lambda: run_store.end(
            run_store.add(VERSION, silent.kind, plan={}, total=0, requested_by="x").id,
            RunState.BROKEN,
        )
    )

    assert (silent.state, silent.reason) == (
        RunState.BROKEN,
        "The gateway answered 503.",
    )
    assert gone.state is RunState.BROKEN
    assert await box.certification() is None


async def test_another_digest_at_the_end_certifies_nothing(box: Box) -> None:
    def answer(*_: Any) -> Any:
        assert box.targets.live
        box.targets.live = replace(box.targets.live, digest=digest(4))
        return says("noon")

    box.targets.answer = answer
    run = await box.ran(await box.suite(asks("now"), certifies=SMOKE))

    assert (run.state, run.certification_id) == (RunState.BROKEN, None)
    assert await box.certification() is None


async def test_a_run_goes_on_where_a_crash_left_it(box: Box) -> None:
    class CrashError(Exception):
        pass

    def dies_at_zone(tool: str, _: Any) -> Any:
        if tool == "zone":
            raise CrashError
        return says("noon")

    suite = await box.suite(asks("now"), asks("zone"))
    run = await box.service.run_suite(SYSTEM, "time", suite.id)
    box.targets.answer = dies_at_zone
    with pytest.raises(CrashError):
        await box.execute(run)
    box.targets.answer = lambda *_: says("noon")

    after = await box.execute(run)

    assert after.state is RunState.PASSED
    assert [tool for tool, _ in box.targets.calls] == ["now", "zone", "zone"]
    assert [item.position for item in after.results] == [0, 1]


async def test_a_cancelled_run_asks_nothing_more(box: Box) -> None:
    suite = await box.suite(asks("now"), asks("zone"), certifies=SMOKE)
    run = await box.service.run_suite(SYSTEM, "time", suite.id)

    def cancelling(*_: Any) -> Any:
        box.database.run_blocking(lambda: run_store.end(run.id, RunState.CANCELLED))
        return says("noon")

    box.targets.answer = cancelling
    after = await box.execute(run)

    assert (after.state, len(box.targets.calls)) == (RunState.CANCELLED, 1)
    assert await box.certification() is None
    with pytest.raises(RunFinishedError):
        await box.service.cancel(SYSTEM, "time", run.id)


async def test_what_is_kept_of_an_answer_holds_no_secrets(box: Box) -> None:
    box.targets.answer = lambda *_: says(
        "hunter2 and Bearer abcdefghijkl at noon", structuredContent={"token": "t0p"}
    )
    test = NewTest("now", "now", {"password": "x"}, {"kind": "exact", "value": "no"})

    run = await box.ran(await box.suite(test))

    kept = repr(run.results)
    for secret in ("hunter2", "abcdefghijkl", "t0p", "'x'"):
        assert secret not in kept


async def test_a_step_is_told_once_how_it_ended(box: Box) -> None:
    suite = await box.suite(asks("now"))
    payload = {"suite": "all", "digest": digest(3), "tier": "gold:npm", "for_step": 9}
    for _ in range(2):
        context = quiet_context("evaluations.run", payload)
        await box.room.handlers["evaluations.run"](context, payload)
    (run,) = await box.service.runs(SYSTEM, "time", suite_id=suite.id)
    await box.execute(run)
    missing = payload | {"suite": "none", "for_step": 10}
    context = quiet_context("evaluations.run", missing)
    await box.room.handlers["evaluations.run"](context, missing)

    told = {
        item.payload["step_run_id"]: item.payload
        for item in await box.jobs("governance.step_ended")
    }
    assert (run.for_step, told[9]["outcome"]) == (9, "passed")
    assert told[9]["evidence_ref"] == {"kind": "evaluation-run", "run_id": run.id}
    assert told[10]["outcome"] == "failed"


async def test_re_certification_waits_until_all_pass_again(box: Box) -> None:
    await box.ran(await box.suite(asks("now"), certifies=SMOKE))
    payload = {
        "requirements": ["smoke"],
        "digest": digest(3),
        "tier": "gold:npm",
        "for_step": 5,
    }
    handler = box.room.handlers["evaluations.recertify"]
    context = quiet_context("evaluations.recertify", payload)

    again = await handler(context, payload)
    pending = await box.certification()
    (run, _) = await box.service.runs(SYSTEM, "time")
    await box.execute(run)
    done = JobContext(replace(context.job, progress={"done": 0}), context.report)
    over = await handler(done, payload)

    assert again is not None
    assert pending.finding.status is Status.PENDING
    assert over is None
    (told,) = await box.jobs("governance.step_ended")
    assert told.payload["outcome"] == "passed"


async def test_the_clock_runs_a_suite_when_its_time_has_come_and_not_twice(
    box: Box,
) -> None:
    suite = await box.suite(asks("now"), schedule=Schedule(cron="0 3 * * *"))
    assert await box.room.clock.tick() == 0

    def due() -> None:
        SuiteRow.update(next_run_at=store.moment()).execute()

    await box.database.run(due)
    assert (await box.room.clock.tick(), await box.room.clock.tick()) == (1, 0)
    await box.database.run(due)
    assert await box.room.clock.tick() == 0  # the first waits still
    (run,) = await box.service.runs(SYSTEM, "time", suite_id=suite.id)
    assert run.requested_by == "schedule"
    (job,) = await box.jobs(EXECUTE)
    assert job.lane == lane_of(run.id)


async def test_a_run_whose_job_failed_for_good_is_ended_and_its_step_told(
    box: Box,
) -> None:
    await box.suite(asks("now"))
    payload = {"suite": "all", "digest": digest(3), "tier": "gold:npm", "for_step": 4}
    context = quiet_context("evaluations.run", payload)
    await box.room.handlers["evaluations.run"](context, payload)
    await box.room.clock.tick()
    (waiting,) = await box.service.runs(SYSTEM, "time")

    def fail() -> None:
        proxy.execute_sql("UPDATE jobs SET state = 'failed', error = 'no memory' WHERE kind = %s", (EXECUTE,))  # fmt: skip

    await box.database.run(fail)
    await box.room.clock.tick()
    (after,) = await box.service.runs(SYSTEM, "time")

    assert waiting.state is RunState.QUEUED
    assert (after.state, after.reason) == (RunState.BROKEN, "no memory")
    (told,) = await box.jobs("governance.step_ended")
    assert told.payload["outcome"] == "failed"


async def test_a_replay_tells_what_differs_until_somebody_accepts_it(
    box: Box, recorded: Any
) -> None:
    await recorded(box.server_id, "now", {"zone": "UTC"}, {"hour": 12, "zone": "UTC"})
    await recorded(box.server_id, "now", {"zone": "UTC"}, {"hour": 11, "zone": "UTC"})
    await recorded(box.server_id, "now", {"token": "[redacted]"}, {"hour": 11})
    await recorded(box.server_id, "set", {"hour": 1}, {"ok": True})
    box.targets.answer = lambda *_: says(
        "", structuredContent={"hour": 13, "offset": 0, "zone": "UTC"}
    )

    async def replayed() -> Run:
        wanted = NewReplay(certifies=Certifies("replay"))
        return await box.execute(await box.service.replay(SYSTEM, "time", wanted))

    first = await replayed()
    await box.room.acceptance.accept(
        SYSTEM, "time", first.id, pair=Pair("now", "$.hour", "value"), reason="clock"
    )
    second = await replayed()
    await box.room.acceptance.accept(SYSTEM, "time", second.id, pair=None, reason="")
    third = await replayed()

    assert box.targets.calls[0] == ("now", {"zone": "UTC"})
    assert len(box.targets.calls) == 3
    assert first.summary["left_out"] == {
        "duplicate": 1,
        "redacted": 1,
        "not_read_only": 1,
    }
    assert [
        (item["kind"], item["path"], item["after"])
        for item in first.results[0].differences
    ] == [
        ("shape", "$.offset", "0"),
        ("value", "$.hour", "13"),
    ]
    assert [run.state for run in (first, second, third)] == [
        RunState.FAILED,
        RunState.FAILED,
        RunState.PASSED,
    ]
    assert second.summary == dict(first.summary) | {
        "differences": {"shape": 1},
        "accepted": 1,
    }
    assert third.results[0].outcome is Outcome.PASSED
    made = await box.database.run(store.of_digest, box.server_id, digest(3))
    assert made[0].finding.evidence["kind"] == "replay"
    assert made[0].finding.status is Status.PASS
