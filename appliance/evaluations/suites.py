"""Tests, suites of them, and what came of running them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

#: The job that runs one run: ``{"run_id": 12}``.
EXECUTE = "evaluations.execute"
#: Seconds that a call may take unless its test says otherwise, and at most.
TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 600.0
MAX_TESTS = 500


@dataclass(frozen=True)
class NewTest:
    """A test as somebody wants it."""

    name: str
    tool: str
    arguments: Mapping[str, Any]
    #: ``{"kind": "exact", …}``
    expectation: Mapping[str, Any]
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True)
class Test:
    """One call of a tool, and what it should answer."""

    id: int
    server_id: int
    wanted: NewTest
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Certifies:
    """What a suite that passes certifies."""

    requirement: str
    #: Empty: that of the version.
    tier: str = ""
    #: Days for which it holds; ``None``: for good.
    valid_days: int | None = None


@dataclass(frozen=True)
class Schedule:
    """When a suite runs by itself: one of both."""

    every_s: int | None = None
    #: Five fields, in UTC: ``0 3 * * *``.
    cron: str = ""


@dataclass(frozen=True)
class NewSuite:
    """A suite as somebody wants it."""

    name: str
    #: In their order.
    test_ids: tuple[int, ...]
    #: Of its tests, that must pass; 1: all.
    pass_share: float = 1.0
    certifies: Certifies | None = None
    schedule: Schedule | None = None


@dataclass(frozen=True)
class Suite:
    """Tests that are run together."""

    id: int
    server_id: int
    wanted: NewSuite
    next_run_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime


class RunKind(StrEnum):
    """What is run."""

    SUITE = "suite"
    REPLAY = "replay"


class RunState(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    #: It says nothing of the version: nobody answered, or another version did.
    BROKEN = "broken"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens."""
        return self not in {RunState.QUEUED, RunState.RUNNING}


class Outcome(StrEnum):
    """What came of one call."""

    PASSED = "passed"
    FAILED = "failed"
    #: Nobody answered.
    BROKEN = "broken"


@dataclass(frozen=True)
class Version:
    """What is asked: one version of a server."""

    server_id: int
    server_name: str
    owner_id: int | None
    org_id: int | None
    deployment_id: int
    number: int
    #: No client is sent there.
    is_candidate: bool
    #: ``None``: nothing by which it could be certified.
    digest: str | None
    tier: str
    artifact_run_id: int | None
    #: Its tools as it lists them; empty: it was never asked.
    tools: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of one call of a run."""

    position: int
    name: str
    tool: str
    arguments: Mapping[str, Any]
    outcome: Outcome
    score: float
    #: What is wrong; empty: nothing.
    problem: str
    answered: str
    duration_ms: float
    size_bytes: int
    at: datetime
    #: Of a replay: what was recorded.
    expected: str = ""
    differences: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Run:
    """One run of a suite, or one replay."""

    id: int
    kind: RunKind
    server_id: int
    server_name: str
    suite_id: int | None
    suite_name: str
    deployment_id: int
    deployment_number: int
    is_candidate: bool
    digest: str | None
    tier: str
    artifact_run_id: int | None
    plan: Mapping[str, Any]
    state: RunState
    reason: str
    total: int
    done: int
    passed: int
    score: float
    summary: Mapping[str, Any]
    requested_by: str
    for_step: int | None
    job_id: int | None
    certification_id: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    results: tuple[Result, ...] = field(default=())


@dataclass(frozen=True)
class Accepted:
    """A difference that is no longer told of."""

    id: int
    server_id: int
    tool: str
    path: str
    kind: str
    reason: str
    accepted_by: str
    accepted_at: datetime
