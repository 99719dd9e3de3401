"""How runs begin: by a person, by the clock, by a governance step. Every function runs inside ``database.run``."""

from dataclasses import asdict, dataclass, field

from appliance.evaluations import run_store, suite_store
from appliance.evaluations.replay.calls import CALLS
from appliance.evaluations.replay.compare import Tolerance
from appliance.evaluations.suite_work import plan_of
from appliance.evaluations.suites import (
    EXECUTE,
    Certifies,
    Run,
    RunKind,
    Suite,
    Version,
)
from appliance.jobs.queue import enqueue


@dataclass(frozen=True)
class NewReplay:
    """A replay as somebody wants it."""

    #: Which tools may be called; empty: those that say of themselves that they change nothing.
    tools: tuple[str, ...] = ()
    limit: int = CALLS
    certifies: Certifies | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)


def lane_of(run_id: int) -> str:
    """Return the lane of one run's job."""
    return f"evaluation-run:{run_id}"


def start_suite(
    suite: Suite, version: Version, requested_by: str, for_step: int | None = None
) -> Run:
    """Queue a run of a suite.

    Raises:
        InvalidError: It has no tests.
    """
    tests = {item.id: item for item in suite_store.tests(suite.server_id)}
    plan = plan_of(suite, tests)
    run = run_store.add(
        version,
        RunKind.SUITE,
        plan=plan,
        total=len(plan["tests"]),
        requested_by=requested_by,
        suite_id=suite.id,
        suite_name=suite.wanted.name,
        for_step=for_step,
    )
    return _queued(run)


def start_replay(
    wanted: NewReplay, version: Version, requested_by: str, for_step: int | None = None
) -> Run:
    """Queue a replay."""
    plan = {
        "tools": list(wanted.tools),
        "limit": wanted.limit,
        "certifies": asdict(wanted.certifies) if wanted.certifies else None,
        "tolerance": asdict(wanted.tolerance),
    }
    run = run_store.add(
        version,
        RunKind.REPLAY,
        plan=plan,
        total=0,
        requested_by=requested_by,
        for_step=for_step,
    )
    return _queued(run)


def _queued(run: Run) -> Run:
    job_id = enqueue(EXECUTE, {"run_id": run.id}, lane=lane_of(run.id))
    run_store.set_job(run.id, job_id)
    return run_store.get(run.id)
