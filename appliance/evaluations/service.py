"""Runs and scores as the rest of the hub sees them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from appliance.accounts.model import Action, Principal
from appliance.evaluations import run_store, starting, suite_store
from appliance.evaluations.book import checked_certifies, record
from appliance.evaluations.errors import (
    RunFinishedError,
    RunNotFoundError,
)
from appliance.evaluations.executing import tell_step
from appliance.evaluations.ports import Subject, Subjects, Targets
from appliance.evaluations.scores import TREND, ServerScore, scored
from appliance.evaluations.suites import Run, RunKind, RunState
from appliance.infra.database import Database
from appliance.jobs.queue import cancel_running_in_lane

#: Names of the servers that somebody may know of, by number; runs inside ``database.run``.
Seen = Callable[[Principal], Mapping[int, str]]


class EvaluationService:
    """Starts runs, and tells of them.

    Args:
        subjects: Knows who may do what with a server.
        seen: Which servers somebody may know of.
        targets: Finds versions.
    """

    def __init__(
        self, database: Database, *, subjects: Subjects, seen: Seen, targets: Targets
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._subjects = subjects
        self._seen = seen
        self._targets = targets

    # -- runs

    async def run_suite(
        self,
        principal: Principal,
        server: int | str,
        suite_id: int,
        number: int | None = None,
    ) -> Run:
        """Queue a run of a suite.

        Args:
            number: Of the deployment that is asked; ``None``: the one that clients are sent to.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not deploy it.
            SuiteNotFoundError: There is none of this id.
            InvalidError: It has no tests.
            NothingToAskError: No version of the server could be asked.
        """

        def write() -> Run:
            subject = self._subjects(principal, server, Action.DEPLOY)
            suite = suite_store.suite(suite_id, subject.server_id)
            version = self._targets.version(subject.server_id, number=number)
            run = starting.start_suite(suite, version, principal.name)
            details = {"suite": suite.wanted.name, "run": run.id}
            record(principal, "evaluation.run", subject, details)
            return run

        return await self._database.run(write)

    async def replay(
        self,
        principal: Principal,
        server: int | str,
        wanted: starting.NewReplay,
        number: int | None = None,
    ) -> Run:
        """Queue a replay of recorded calls.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not deploy it.
            InvalidError: What it certifies makes no sense.
            NothingToAskError: No version of the server could be asked.
        """
        wanted = replace(wanted, certifies=checked_certifies(wanted.certifies))

        def write() -> Run:
            subject = self._subjects(principal, server, Action.DEPLOY)
            version = self._targets.version(subject.server_id, number=number)
            run = starting.start_replay(wanted, version, principal.name)
            details = {"run": run.id, "tools": list(wanted.tools)}
            record(principal, "evaluation.replay", subject, details)
            return run

        return await self._database.run(write)

    async def runs(
        self,
        principal: Principal,
        server: int | str,
        *,
        suite_id: int | None = None,
        kind: RunKind | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return runs of a server, newest first; ``before`` is the cursor.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
        """

        def read() -> list[Run]:
            found = self._subjects(principal, server, Action.SEE)
            return run_store.page(
                found.server_id,
                suite_id=suite_id,
                kind=kind,
                before=before,
                limit=limit,
            )

        return await self._database.run(read)

    async def run(self, principal: Principal, server: int | str, run_id: int) -> Run:
        """Return one run with its results.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            RunNotFoundError: The server has none of this id.
        """

        def read() -> Run:
            subject = self._subjects(principal, server, Action.SEE)
            return own_run(subject, run_id)

        return await self._database.run(read)

    async def cancel(self, principal: Principal, server: int | str, run_id: int) -> Run:
        """End a run that has not ended.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not deploy it.
            RunNotFoundError: The server has none of this id.
            RunFinishedError: It has ended.
        """

        def write() -> Run:
            subject = self._subjects(principal, server, Action.DEPLOY)
            if own_run(subject, run_id).state.is_finished:
                raise RunFinishedError(f"Run {run_id} has ended.")
            reason = f"Cancelled by {principal.name}."
            ended = run_store.end(run_id, RunState.CANCELLED, reason=reason)
            cancel_running_in_lane(starting.lane_of(run_id))
            tell_step(ended)
            record(principal, "evaluation.cancel", subject, {"run": run_id})
            return ended

        return await self._database.run(write)

    # -- scores

    async def scoreboard(self, principal: Principal) -> list[ServerScore]:
        """Return the servers that somebody may know of by how good they are."""

        def read() -> list[ServerScore]:
            servers = self._seen(principal)
            return scored(servers, run_store.newest_of_suites(list(servers), TREND))

        return await self._database.run(read)

    async def summary(self, principal: Principal, server: int | str) -> ServerScore:
        """Return how good a server is; its place is that among all that the principal may know of.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
        """

        def find() -> Subject:
            return self._subjects(principal, server, Action.SEE)

        subject = await self._database.run(find)
        board = await self.scoreboard(principal)
        return next(item for item in board if item.server_id == subject.server_id)

    async def prune(self) -> int:
        """Remove old runs that no certification names; return how many went."""
        return await self._database.run(run_store.prune)


def own_run(subject: Subject, run_id: int) -> Run:
    """Return one run of a server with its results; runs inside ``database.run``.

    Raises:
        RunNotFoundError: The server has none of this id.
    """
    found = run_store.whole(run_id)
    if found.server_id != subject.server_id:
        raise RunNotFoundError(f"There is no run {run_id}.")
    return found
