"""The room's parts, put together once for the hub and for its tests."""

from collections.abc import Mapping

from appliance.evaluations.acceptance import AcceptanceService
from appliance.evaluations.book import Book
from appliance.evaluations.certifying import CertificationService
from appliance.evaluations.executing import ExecuteTask, Work
from appliance.evaluations.ports import Hide, Subjects, Targets
from appliance.evaluations.replay.work import ReplayWork
from appliance.evaluations.service import EvaluationService, Seen
from appliance.evaluations.suite_work import SuiteWork
from appliance.evaluations.suites import EXECUTE, RunKind
from appliance.evaluations.tasks import (
    RECERTIFY,
    REPLAY,
    RUN,
    RecertifyTask,
    StepRuns,
    SuiteClock,
)
from appliance.infra.database import Database
from appliance.jobs.model import Handler


class Evaluations:
    """Everything that the hub needs of evaluations.

    Args:
        certifications: What keeps them.
        subjects: Knows who may do what with a server.
        seen: Which servers somebody may know of.
        targets: Finds versions, and has them asked.
        hide: Takes a server's secrets out of what it said.
    """

    def __init__(
        self,
        database: Database,
        certifications: CertificationService,
        *,
        subjects: Subjects,
        seen: Seen,
        targets: Targets,
        hide: Hide,
    ) -> None:
        """Put the parts together."""
        self.certifications = certifications
        self.book = Book(database, subjects=subjects, targets=targets, hide=hide)
        self.service = EvaluationService(
            database, subjects=subjects, seen=seen, targets=targets
        )
        self.acceptance = AcceptanceService(database, subjects)
        self.clock = SuiteClock(database, targets)
        works: Mapping[RunKind, Work] = {
            RunKind.SUITE: SuiteWork(),
            RunKind.REPLAY: ReplayWork(database, targets),
        }
        steps = StepRuns(database, targets)
        self.handlers: dict[str, Handler] = {
            EXECUTE: ExecuteTask(
                database,
                targets=targets,
                works=works,
                hide=hide,
                warn_days=certifications.warn_days,
            ),
            RUN: steps.run,
            REPLAY: steps.replay,
            RECERTIFY: RecertifyTask(database, targets),
        }
