"""The job that runs a run: asks a version, one call after another, and says how it ended."""

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from appliance.core.errors import DomainError
from appliance.evaluations import run_store, store
from appliance.evaluations.certifying import certified
from appliance.evaluations.errors import RunFinishedError
from appliance.evaluations.judging import finding_of, may_write
from appliance.evaluations.model import About, Origin
from appliance.evaluations.ports import Caller, Hide, Targets
from appliance.evaluations.showing import Hiding
from appliance.evaluations.suites import (
    Certifies,
    Result,
    Run,
    RunKind,
    RunState,
    Version,
)
from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.jobs.queue import enqueue

log = structlog.get_logger("evaluations.run")

#: The job that a governance step is told with.
STEP_ENDED = "governance.step_ended"
#: Seconds in which a version must answer; a candidate may have to be started.
OPEN_S = 180.0
_ORIGINS = {RunKind.SUITE: Origin.SUITE, RunKind.REPLAY: Origin.REPLAY}


class Work(Protocol):
    """What one kind of run does."""

    async def prepare(
        self, run: Run, version: Version
    ) -> tuple[Mapping[str, Any], int]:
        """Return what is to be done, and how many calls that is; asked again after a crash, it says the same.

        Raises:
            DomainError: There is nothing to do.
        """

    async def result(
        self, run: Run, position: int, caller: Caller, hide: Hiding
    ) -> Result:
        """Make one call, and return what came of it."""

    def verdict(self, run: Run) -> tuple[RunState, str, dict[str, Any]]:
        """Return how the run, which has all its results, ended: state, reason, summary."""


class ExecuteTask:
    """Runs runs.

    Args:
        targets: Has versions asked.
        works: What each kind of run does.
        hide: Takes a server's secrets out of what it said.
        warn_days: Days of warning before what a run certifies ends.
    """

    def __init__(
        self,
        database: Database,
        *,
        targets: Targets,
        works: Mapping[RunKind, Work],
        hide: Hide,
        warn_days: int,
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._targets = targets
        self._works = works
        self._hide = hide
        self._warn_days = warn_days

    async def __call__(self, context: JobContext, payload: Mapping[str, Any]) -> None:
        """Run ``payload["run_id"]`` from where it is."""
        run = await self._database.run(run_store.get, int(payload["run_id"]))
        if run.state.is_finished:
            return
        try:
            await self._ask(context, run)
        except RunFinishedError:
            return  # somebody cancelled it
        except DomainError as error:
            log.warning("evaluation.broken", run_id=run.id, reason=error.reason)
            with contextlib.suppress(RunFinishedError):
                await self._database.run(self._end, run.id, error.reason)

    async def _ask(self, context: JobContext, run: Run) -> None:
        work = self._works[run.kind]
        version = await self._database.run(self._version, run)
        plan, total = await work.prepare(run, version)
        begun = await self._database.run(run_store.begin, run.id, plan, total)
        if begun is None:
            return
        hide = await self._hide(run.server_id)
        known = {item.position for item in await self._results(run.id)}
        holder = f"evaluation run {run.id}"
        await context.progress(len(known), total, "waiting for the version to answer")
        async with self._targets.open(version, holder, OPEN_S) as caller:
            for position in range(total):
                if position in known:
                    continue
                found = await work.result(begun, position, caller, hide)
                after = await self._database.run(run_store.add_result, run.id, found)
                if after is None:
                    return
                await context.progress(after.done, total, found.name)
        await self._database.run(self._end, run.id, "")

    async def _results(self, run_id: int) -> list[Result]:
        return await self._database.run(run_store.results, run_id)

    def _version(self, run: Run) -> Version:
        return self._targets.version(run.server_id, deployment_id=run.deployment_id)

    # -- its end, in one transaction

    def _end(self, run_id: int, broken: str) -> None:
        run = run_store.whole(run_id)
        ended = self._broken(run, broken) if broken else self._judged(run)
        log.info("evaluation.ended", run_id=run_id, state=ended.state.value)
        tell_step(ended)

    def _broken(self, run: Run, reason: str) -> Run:
        return run_store.end(run.id, RunState.BROKEN, reason=reason)

    def _judged(self, run: Run) -> Run:
        state, reason, summary = self._works[run.kind].verdict(run)
        now_known_as = self._version(run).digest
        if now_known_as != run.digest:
            state = RunState.BROKEN
            reason = "Another version was there at the end than at the beginning."
        ended = run_store.end(run.id, state, reason=reason, summary=summary)
        self._certify(run_store.whole(run.id))
        return ended

    def _certify(self, run: Run) -> None:
        """Write what the run found as a certification, where its plan says so."""
        wanted = run.plan.get("certifies")
        if wanted is None or run.state not in {RunState.PASSED, RunState.FAILED}:
            return
        certifies = Certifies(**wanted)
        version = self._version(run)
        if run.digest is None:
            run_store.note(run.id, reason="It has no digest, so nothing is certified.", certification_id=None)  # fmt: skip
            return
        about = About(
            artifact_run_id=run.artifact_run_id,
            server_id=run.server_id,
            server_name=run.server_name,
            owner_id=version.owner_id,
            org_id=version.org_id,
            manifest_digest=run.digest,
            tier=certifies.tier or run.tier,
            policy_requirement=certifies.requirement,
        )
        finding = finding_of(
            run,
            certifies,
            store.moment(),
            origin=_ORIGINS[run.kind],
            warn_days=self._warn_days,
        )
        known = store.find(about)
        if not may_write(known, finding.status):
            why = f"Not certified: {known.certified_by if known else 'somebody'} found that it fails."
            run_store.note(run.id, reason=why, certification_id=None)
            return
        made = certified(Ran(run), about, finding)
        run_store.note(run.id, reason=run.reason, certification_id=made.id)


class Ran:
    """Who certifies when a run does: the run, and whoever asked for it."""

    user_id = None
    via = "system"
    credential_id = None

    def __init__(self, run: Run) -> None:
        """Name it."""
        what = f"suite {run.suite_name}" if run.suite_name else run.kind.value
        self.name = f"{what}, run {run.id} ({run.requested_by})"


def tell_step(run: Run) -> None:
    """Tell the governance step that asked for a run how it ended; runs inside ``database.run``."""
    if run.for_step is None:
        return
    is_passed = run.state is RunState.PASSED
    what = f"Suite {run.suite_name}" if run.suite_name else "Replay"
    summary = (
        f"{what} {run.state.value}: {run.passed} of {run.total} passed. {run.reason}"
    )
    enqueue(
        STEP_ENDED,
        {
            "step_run_id": run.for_step,
            "outcome": "passed" if is_passed else "failed",
            "summary": summary.strip(),
            "evidence_ref": {"kind": "evaluation-run", "run_id": run.id},
        },
        lane=f"governance-step:{run.for_step}",
    )
