"""What the API takes and tells of tests, suites, runs and scores."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from appliance.evaluations.replay.calls import CALLS, MOST_CALLS
from appliance.evaluations.replay.compare import Tolerance
from appliance.evaluations.scores import ServerScore, SuiteScore
from appliance.evaluations.starting import NewReplay
from appliance.evaluations.suites import (
    MAX_TESTS,
    TIMEOUT_S,
    Accepted,
    Certifies,
    NewSuite,
    NewTest,
    Outcome,
    Result,
    Run,
    RunKind,
    RunState,
    Schedule,
    Suite,
    Test,
)
from appliance.web.api.answer import Answer
from appliance.web.parsing import Input


class TestBody(Input):
    """A call of a tool, and what it should answer."""

    __test__ = False

    name: str = Field(max_length=100)
    tool: str = Field(max_length=256)
    arguments: dict[str, Any] = Field(default_factory=dict)
    expectation: dict[str, Any] = Field(
        description="`kind` is `exact`, `schema`, `jsonpath`, `regex`, `similarity` or `error`; docs/evaluations.md tells "
        "what else belongs to each.",
        examples=[{"kind": "jsonpath", "path": "$.timezone", "equals": "UTC"}],
    )
    timeout_s: float = TIMEOUT_S

    def wanted(self) -> NewTest:
        """Return what is asked for; the service checks it."""
        return NewTest(
            self.name, self.tool, self.arguments, self.expectation, self.timeout_s
        )


class TryBody(TestBody):
    """A test to run once."""

    name: str = Field("try", max_length=100)
    deployment: int | None = Field(
        None, ge=1, description="Its number; absent: the one that is live."
    )


class CertifiesBody(Input):
    """What is certified by passing, and found to fail otherwise."""

    requirement: str = Field(max_length=63)
    tier: str = Field("", max_length=80, description="Empty: the version's own.")
    valid_days: int | None = Field(None, ge=1, le=3660, description="Absent: for good.")

    def wanted(self) -> Certifies:
        """Return what is asked for."""
        return Certifies(self.requirement, self.tier, self.valid_days)


class SuiteScheduleBody(Input):
    """When it runs by itself: one of both."""

    every_s: int | None = None
    cron: str = Field(
        "", max_length=100, description="Five fields, in UTC.", examples=["0 3 * * *"]
    )


class SuiteBody(Input):
    """Tests that are run together, in their order."""

    name: str = Field(max_length=100)
    tests: list[int] = Field(max_length=MAX_TESTS, description="Ids, in their order.")
    pass_share: float = Field(1.0, description="Of its tests, that must pass; 1: all.")
    certifies: CertifiesBody | None = None
    schedule: SuiteScheduleBody | None = None

    def wanted(self) -> NewSuite:
        """Return what is asked for; the service checks it."""
        schedule = self.schedule
        return NewSuite(
            name=self.name,
            test_ids=tuple(self.tests),
            pass_share=self.pass_share,
            certifies=self.certifies.wanted() if self.certifies else None,
            schedule=Schedule(schedule.every_s, schedule.cron) if schedule else None,
        )


class EvaluationRunBody(Input):
    """Which version is asked."""

    deployment: int | None = Field(
        None, ge=1, description="Its number; absent: the one that is live."
    )


class ReplayBody(EvaluationRunBody):
    """Which recorded calls are made again."""

    tools: list[str] = Field(
        default_factory=list,
        max_length=500,
        description="Which may be called; none: those with the annotation `readOnlyHint`.",
    )
    limit: int = Field(
        CALLS, ge=1, le=MOST_CALLS, description="The newest so many, each once."
    )
    certifies: CertifiesBody | None = None
    latency_factor: float = Field(3.0, ge=1, le=1000)
    latency_ms: float = Field(500.0, ge=0, le=600_000)
    size_factor: float = Field(2.0, ge=1, le=1000)
    size_bytes: int = Field(2048, ge=0, le=2**30)

    def wanted(self) -> NewReplay:
        """Return what is asked for."""
        return NewReplay(
            tools=tuple(self.tools),
            limit=self.limit,
            certifies=self.certifies.wanted() if self.certifies else None,
            tolerance=Tolerance(
                self.latency_factor, self.latency_ms, self.size_factor, self.size_bytes
            ),
        )


class AcceptBody(Input):
    """Which difference is meant; none of the first three: all that the replay found."""

    tool: str = Field("", max_length=256)
    path: str = Field("", max_length=4000)
    kind: str = Field("", max_length=20)
    reason: str = Field("", max_length=300)


class TestAnswer(Answer):
    """A test."""

    __test__ = False

    id: int
    name: str
    tool: str
    arguments: dict[str, Any]
    expectation: dict[str, Any]
    timeout_s: float
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, item: Test) -> Self:
        """Return ``item`` as it is answered."""
        wanted = item.wanted
        return cls(
            id=item.id,
            name=wanted.name,
            tool=wanted.tool,
            arguments=dict(wanted.arguments),
            expectation=dict(wanted.expectation),
            timeout_s=wanted.timeout_s,
            created_by=item.created_by,
            created_at=item.created_at,
            updated_at=item.updated_at,
        )


class TestList(Answer):
    """Tests by name."""

    __test__ = False

    items: list[TestAnswer]


class SuiteAnswer(Answer):
    """A suite."""

    id: int
    name: str
    tests: list[int]
    pass_share: float
    certifies: CertifiesBody | None
    schedule: SuiteScheduleBody | None
    next_run_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, item: Suite) -> Self:
        """Return ``item`` as it is answered."""
        wanted = item.wanted
        return cls(
            id=item.id,
            name=wanted.name,
            tests=list(wanted.test_ids),
            pass_share=wanted.pass_share,
            certifies=CertifiesBody(**vars(wanted.certifies))
            if wanted.certifies
            else None,
            schedule=SuiteScheduleBody(**vars(wanted.schedule))
            if wanted.schedule
            else None,
            next_run_at=item.next_run_at,
            created_by=item.created_by,
            created_at=item.created_at,
            updated_at=item.updated_at,
        )


class SuiteList(Answer):
    """Suites by name."""

    items: list[SuiteAnswer]


class DifferenceAnswer(Answer):
    """How an answer differs from the one that was recorded."""

    kind: str = Field(
        description="`error_class`, `shape`, `value`, `latency` or `size`."
    )
    path: str = Field(examples=["$.items[*].price"])
    before: str
    after: str
    accepted: bool


class ResultAnswer(Answer):
    """What came of one call."""

    position: int
    name: str
    tool: str
    arguments: dict[str, Any]
    outcome: Outcome
    score: float
    problem: str = Field(description="Empty: nothing is wrong.")
    answered: str = Field(description="Without secrets; its first 16 KiB.")
    expected: str = Field(description="Of a replay: what was recorded.")
    differences: list[DifferenceAnswer]
    duration_ms: float
    size_bytes: int
    at: datetime

    @classmethod
    def of(cls, item: Result) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            position=item.position,
            name=item.name,
            tool=item.tool,
            arguments=dict(item.arguments),
            outcome=item.outcome,
            score=item.score,
            problem=item.problem,
            answered=item.answered,
            expected=item.expected,
            differences=[DifferenceAnswer(**found) for found in item.differences],
            duration_ms=round(item.duration_ms, 1),
            size_bytes=item.size_bytes,
            at=item.at,
        )


class EvaluationRunAnswer(Answer):
    """A run of a suite, or a replay, without its results."""

    id: int
    kind: RunKind
    server_id: int
    server_name: str
    suite_id: int | None
    suite_name: str
    deployment: int
    is_candidate: bool = Field(description="No client is sent there.")
    digest: str | None
    tier: str
    artifact_run_id: int | None
    state: RunState = Field(
        description="`broken`: it says nothing of the version, because nobody answered."
    )
    reason: str
    total: int
    done: int
    passed: int
    score: float
    summary: dict[str, Any]
    requested_by: str
    for_step: int | None
    job_id: int | None
    certification_id: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, item: Run) -> Self:
        """Return ``item`` as it is answered."""
        return cls(**_run_values(item))


class WholeEvaluationRunAnswer(EvaluationRunAnswer):
    """A run with its results."""

    results: list[ResultAnswer]

    @classmethod
    def of(cls, item: Run) -> Self:
        """Return ``item`` as it is answered."""
        results = [ResultAnswer.of(found) for found in item.results]
        return cls(**_run_values(item), results=results)


def _run_values(item: Run) -> dict[str, Any]:
    named = EvaluationRunAnswer.model_fields.keys() - {"deployment"}
    return {name: getattr(item, name) for name in named} | {
        "deployment": item.deployment_number
    }


class EvaluationRunPage(Answer):
    """Runs, newest first."""

    items: list[EvaluationRunAnswer]
    next_cursor: str | None


class AcceptedAnswer(Answer):
    """A difference that is no longer told of."""

    id: int
    tool: str
    path: str
    kind: str
    reason: str
    accepted_by: str
    accepted_at: datetime

    @classmethod
    def of(cls, item: Accepted) -> Self:
        """Return ``item`` as it is answered."""
        return cls(**{name: getattr(item, name) for name in cls.model_fields})


class AcceptedList(Answer):
    """Accepted differences, the newest first."""

    items: list[AcceptedAnswer]


class PointAnswer(Answer):
    """One run in a trend."""

    run_id: int
    at: datetime
    score: float
    state: RunState
    deployment: int


class SuiteScoreAnswer(Answer):
    """What a suite last said."""

    suite_id: int
    name: str
    state: RunState
    score: float
    passed: int
    total: int
    run_id: int
    at: datetime | None
    trend: list[PointAnswer] = Field(description="Oldest first; at most 30 runs.")

    @classmethod
    def of(cls, item: SuiteScore) -> Self:
        """Return ``item`` as it is answered."""
        last = item.last
        return cls(
            suite_id=item.suite_id,
            name=item.name,
            state=last.state,
            score=last.score,
            passed=last.passed,
            total=last.total,
            run_id=last.id,
            at=last.finished_at,
            trend=[
                PointAnswer(
                    run_id=run.id,
                    at=run.finished_at or run.created_at,
                    score=run.score,
                    state=run.state,
                    deployment=run.deployment_number,
                )
                for run in item.trend
            ],
        )


class ScoreAnswer(Answer):
    """How good a server is, by what its suites last said."""

    server_id: int
    server_name: str
    score: float | None = Field(description="From 0 to 1; null: nothing was run.")
    passed: int
    total: int
    rank: int | None = Field(
        description="From 1, among all that you see; equally good ones share it."
    )
    state: str = Field(description="`passed`, `failed`, or empty: nothing was run.")
    last_at: datetime | None
    suites: list[SuiteScoreAnswer]

    @classmethod
    def of(cls, item: ServerScore) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            server_id=item.server_id,
            server_name=item.server_name,
            score=item.score,
            passed=item.passed,
            total=item.total,
            rank=item.rank,
            state=item.state,
            last_at=item.last_at,
            suites=[SuiteScoreAnswer.of(found) for found in item.suites],
        )


class Scoreboard(Answer):
    """Servers, the best first; those that nothing was run of last."""

    items: list[ScoreAnswer]
