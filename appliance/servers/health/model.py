"""What is known of a server's health."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class HealthState(StrEnum):
    """Readiness: whether the server does what its users come for."""

    #: Nobody has asked yet since this instance runs.
    UNKNOWN = "unknown"
    READY = "ready"
    FAILING = "failing"


class Liveness(StrEnum):
    """Whether the process is there, whatever it answers."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    PAUSED = "paused"
    ENDED = "ended"
    MISSING = "missing"
    #: Somebody else runs it.
    REMOTE = "remote"


class StepResult(StrEnum):
    """How one question of a check was answered."""

    PASSED = "passed"
    FAILED = "failed"
    #: Not asked, because one before it failed, or because there is nothing to ask.
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Step:
    """One question of a check, and what came back."""

    #: ``alive``, ``open``, ``tools/list``, ``canary`` or ``calls``.
    name: str
    result: StepResult
    #: What was found, in words.
    detail: str = ""
    #: The failing answer itself, redacted and cut; empty where all is well or nothing came.
    answer: str = ""
    duration_ms: float = 0.0
    #: A stable word for the kind of failure: a check that fails as the last one did tells nothing new.
    cause: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is stored and answered."""
        return {
            "name": self.name,
            "result": self.result.value,
            "detail": self.detail,
            "answer": self.answer,
            "duration_ms": round(self.duration_ms, 2),
            "cause": self.cause,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Step":
        """Return what ``as_dict`` stored."""
        return cls(**(data | {"result": StepResult(data["result"])}))


@dataclass(frozen=True)
class Health:
    """The verdict about the instance that serves now."""

    state: HealthState
    #: Why, in a sentence that stays the same while the cause does; empty when there is nothing to say.
    reason: str
    #: The newest failing answer itself, redacted and cut.
    answer: str
    #: Failed checks in a row.
    failures: int
    checked_at: datetime | None
    #: Since when the state is what it is.
    since: datetime
    successes: int = 0
    liveness: Liveness = Liveness.UNKNOWN
    #: Stands for ``reason`` when verdicts are compared.
    cause: str = ""
    steps: tuple[Step, ...] = ()
    next_check_at: datetime | None = None
    #: What the gateway was told of the instance that was asked, by number.
    instance_id: int | None = None


@dataclass(frozen=True)
class StatusChange:
    """One line of a server's history."""

    id: int
    at: datetime
    #: Empty: the server was new.
    before: str
    after: str
    reason: str
    deployment_id: int | None
    #: Of the deployment, as people count; ``None``: none was routed to, or it is gone.
    deployment: int | None = None
