"""Job entry points: runs that governance steps ask for, and suites whose time has come."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog

from appliance.accounts.access import Thing
from appliance.artifacts import store as artifacts
from appliance.artifacts.service import thing_of
from appliance.core.clock import now
from appliance.core.errors import DomainError, InvalidError
from appliance.evaluations import run_store, starting, store, suite_store, timing
from appliance.evaluations.certifications import standing_of
from appliance.evaluations.certifying import certified
from appliance.evaluations.errors import NothingToAskError, SuiteNotFoundError
from appliance.evaluations.executing import STEP_ENDED, tell_step
from appliance.evaluations.model import Certification, Finding, Standing, Status
from appliance.evaluations.ports import Targets
from appliance.evaluations.replay.calls import CALLS, MOST_CALLS
from appliance.evaluations.suites import RunState, Suite, Version
from appliance.infra.database import Database
from appliance.jobs.model import Again, JobContext
from appliance.jobs.queue import enqueue

log = structlog.get_logger("evaluations.tasks")

RUN, REPLAY, RECERTIFY = (
    "evaluations.run",
    "evaluations.replay",
    "evaluations.recertify",
)
#: Seconds between two looks for suites whose time has come.
EVERY_S = 30.0
#: Seconds between two looks at certifications that a step waits for.
LOOK_S = 15.0
#: After which nobody waits any longer.
PATIENCE = timedelta(days=30)
AT_ONCE = 50
_ASKED_BY = "governance"


class StepRuns:
    """Starts what a governance step asks for; a step that asks again is told of the same run.

    Args:
        targets: Finds the version of a digest.
    """

    def __init__(self, database: Database, targets: Targets) -> None:
        """Keep the parts."""
        self._database = database
        self._targets = targets

    async def run(self, _context: JobContext, payload: Mapping[str, Any]) -> None:
        """Run the suite ``payload["suite"]``, by number or name, against what is known by ``payload["digest"]``."""
        await self._database.run(self._start, payload, self._suite)

    async def replay(self, _context: JobContext, payload: Mapping[str, Any]) -> None:
        """Replay up to ``payload["calls"]`` recorded calls against what is known by ``payload["digest"]``."""
        await self._database.run(self._start, payload, self._replay)

    def _start(self, payload: Mapping[str, Any], begin: Any) -> None:
        step = int(payload["for_step"])
        if run_store.of_step(step) is not None:
            return
        try:
            begin(payload, step)
        except DomainError as error:
            end_step(step, error.reason)

    def _suite(self, payload: Mapping[str, Any], step: int) -> None:
        word = str(payload["suite"])
        for version in self._versions(payload):
            suite = _suite_of(version, word)
            if suite is not None:
                starting.start_suite(suite, version, _ASKED_BY, step)
                return
        raise SuiteNotFoundError(f"No server that runs this digest has a suite {word}.")

    def _replay(self, payload: Mapping[str, Any], step: int) -> None:
        limit = min(int(payload.get("calls", CALLS)), MOST_CALLS)
        wanted = starting.NewReplay(limit=limit)
        starting.start_replay(wanted, self._versions(payload)[0], _ASKED_BY, step)

    def _versions(self, payload: Mapping[str, Any]) -> list[Version]:
        found = versions_of(self._targets, payload)
        if not found:
            raise NothingToAskError("Nothing that runs, or waits, has this digest.")
        return found


class RecertifyTask:
    """Has certifications made anew, and tells the step that asked for it when all are active, or one failed."""

    def __init__(self, database: Database, targets: Targets) -> None:
        """Keep the parts."""
        self._database = database
        self._targets = targets

    async def __call__(
        self, context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Set ``payload["requirements"]`` to pending at first, start their suites, and look until they are there."""
        is_first = context.job.attempt <= 1 and not context.job.progress
        if is_first:
            await self._database.run(self._begin, payload)
            await context.progress(0, None, "waiting for certifications")
        if now() - context.job.created_at > PATIENCE:
            why = f"Not certified anew within {PATIENCE.days} days."
            await self._database.run(end_step, int(payload["for_step"]), why)
            return None
        is_over = await self._database.run(self._look, payload)
        return None if is_over else Again(LOOK_S)

    def _begin(self, payload: Mapping[str, Any]) -> None:
        for item in self._known(payload):
            if item.finding.status is not Status.PENDING:
                pending = Finding(Status.PENDING, evidence=item.finding.evidence)
                certified(Governance(), item.about, pending, action="certification.retry")  # fmt: skip
        versions = versions_of(self._targets, payload)
        for requirement in payload["requirements"]:
            for version in versions:
                for suite in suite_store.certifying([version.server_id], requirement):
                    if not run_store.is_open(suite.id):
                        starting.start_suite(suite, version, _ASKED_BY)

    def _look(self, payload: Mapping[str, Any]) -> bool:
        at, step = store.moment(), int(payload["for_step"])
        known = self._known(payload)
        standings = {item.about.policy_requirement: standing_of(item.finding, at) for item in known}  # fmt: skip
        failed = [name for name, worth in standings.items() if worth is Standing.FAILED]
        if failed:
            end_step(step, f"The certification of {failed[0]} failed.")
            return True
        if all(standings.get(name) is Standing.ACTIVE for name in payload["requirements"]):  # fmt: skip
            end_step(step, "Certified anew.", is_passed=True)
            return True
        return False

    def _known(self, payload: Mapping[str, Any]) -> list[Certification]:
        found: dict[int, Certification] = {}
        for owner_id, org_id in self._owners(payload):
            latest = store.latest_for(
                str(payload["digest"]),
                str(payload["tier"]),
                payload["requirements"],
                owner_id=owner_id,
                org_id=org_id,
            )
            found |= {item.id: item for item in latest.values()}
        return list(found.values())

    def _owners(self, payload: Mapping[str, Any]) -> set[tuple[int | None, int | None]]:
        """Return whose certifications count: whose the artifact is, be nothing of it running, else whose servers run it."""
        whose = _owner_of(payload)
        if whose is not None:
            return {(whose.owner_id, whose.org_id)}
        versions = versions_of(self._targets, payload)
        return {(item.owner_id, item.org_id) for item in versions}


class Governance:
    """Who asks when a step does."""

    user_id = None
    name = _ASKED_BY
    via = "system"
    credential_id = None


class SuiteClock:
    """Runs suites when their time has come; one that still runs is left out this time."""

    def __init__(self, database: Database, targets: Targets) -> None:
        """Keep the parts."""
        self._database = database
        self._targets = targets

    async def tick(self) -> int:
        """Start what is due, and end what nobody runs any more; return how many were started."""
        await self._database.run(_end_abandoned)
        return await self._database.run(self._start_due)

    def _start_due(self) -> int:
        started, at = 0, store.moment()
        for suite in suite_store.due_suites(AT_ONCE):
            schedule = suite.wanted.schedule
            following = timing.next_run(schedule, at) if schedule else None
            suite_store.set_next_run(suite.id, following)
            if not run_store.is_open(suite.id) and self._start(suite):
                started += 1
        return started

    def _start(self, suite: Suite) -> bool:
        try:
            version = self._targets.version(suite.server_id)
            starting.start_suite(suite, version, "schedule")
        except (NothingToAskError, InvalidError) as error:
            log.info("evaluation.skipped", suite_id=suite.id, reason=error.reason)
            return False
        return True


def _end_abandoned() -> None:
    for run_id, why in run_store.abandoned(AT_ONCE):
        tell_step(run_store.end(run_id, RunState.BROKEN, reason=why))
        log.warning("evaluation.abandoned", run_id=run_id, reason=why)


def end_step(step: int, why: str, *, is_passed: bool = False) -> None:
    """Tell a governance step how it ended without a run; runs inside ``database.run``."""
    enqueue(
        STEP_ENDED,
        {
            "step_run_id": step,
            "outcome": "passed" if is_passed else "failed",
            "summary": why,
            "evidence_ref": None,
        },
        lane=f"governance-step:{step}",
    )


def _suite_of(version: Version, word: str) -> Suite | None:
    try:
        return suite_store.suite_named(version.server_id, word)
    except SuiteNotFoundError:
        pass
    try:
        number = int(word) if word.isascii() and word.isdigit() else 0
        return suite_store.suite(number, version.server_id)
    except SuiteNotFoundError:
        return None


def versions_of(targets: Targets, payload: Mapping[str, Any]) -> list[Version]:
    """Return what runs or waits under ``payload["digest"]``; runs inside ``database.run``.

    With ``artifact_run_id`` only of whoever that run belongs to: strangers may have the same digest.
    """
    found = targets.of_digest(str(payload["digest"]))
    whose = _owner_of(payload)
    if whose is None:
        return found
    return [item for item in found if _is_theirs(item, whose)]


def _owner_of(payload: Mapping[str, Any]) -> Thing | None:
    run_id = payload.get("artifact_run_id")
    artifact = artifacts.get(int(run_id)) if run_id is not None else None
    return thing_of(artifact) if artifact else None


def _is_theirs(version: Version, whose: Thing) -> bool:
    if whose.org_id is not None or version.org_id is not None:
        return version.org_id == whose.org_id
    return version.owner_id == whose.owner_id
