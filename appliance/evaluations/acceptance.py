"""Differences that somebody accepts: they are not told of again, in this replay or any later one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from appliance.accounts.model import Action, Principal
from appliance.evaluations import run_store, suite_store
from appliance.evaluations.book import record
from appliance.evaluations.errors import AcceptedNotFoundError
from appliance.evaluations.ports import Subjects
from appliance.evaluations.replay.compare import open_ones
from appliance.evaluations.replay.work import summary_of
from appliance.evaluations.service import own_run
from appliance.evaluations.suites import Accepted, Outcome, Result, Run
from appliance.infra.database import Database


@dataclass(frozen=True)
class Pair:
    """One difference of one tool."""

    tool: str
    path: str
    kind: str


class AcceptanceService:
    """Remembers which differences are meant.

    Args:
        subjects: Knows who may do what with a server.
    """

    def __init__(self, database: Database, subjects: Subjects) -> None:
        """Keep the parts."""
        self._database = database
        self._subjects = subjects

    async def all(self, principal: Principal, server: int | str) -> list[Accepted]:
        """Return what was accepted of a server, the newest first.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
        """

        def read() -> list[Accepted]:
            found = self._subjects(principal, server, Action.SEE)
            return suite_store.accepted(found.server_id)

        return await self._database.run(read)

    async def accept(
        self,
        principal: Principal,
        server: int | str,
        run_id: int,
        *,
        pair: Pair | None,
        reason: str,
    ) -> Run:
        """Accept a difference that a replay found, or all of them. What the replay found stays as it ended.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not deploy it.
            RunNotFoundError: The server has none of this id.
            AcceptedNotFoundError: The replay found no such difference.
        """

        def write() -> Run:
            subject = self._subjects(principal, server, Action.DEPLOY)
            run = own_run(subject, run_id)
            chosen = [item for item in found_in(run) if pair in {None, item}]
            if not chosen:
                raise AcceptedNotFoundError(f"Run {run_id} found no such difference.")
            for item in chosen:
                suite_store.accept(
                    subject.server_id,
                    tool=item.tool,
                    path=item.path,
                    kind=item.kind,
                    reason=reason,
                    accepted_by=principal.name,
                )
            details = {"run": run_id, "differences": [vars(item) for item in chosen]}
            record(principal, "evaluation.accept", subject, details)
            return _marked(run, subject.server_id)

        return await self._database.run(write)

    async def take_back(
        self, principal: Principal, server: int | str, accepted_id: int
    ) -> None:
        """Have a difference told of again.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not deploy it.
            AcceptedNotFoundError: There is none of this id.
        """

        def write() -> None:
            subject = self._subjects(principal, server, Action.DEPLOY)
            gone = suite_store.take_back(subject.server_id, accepted_id)
            if gone is None:
                raise AcceptedNotFoundError(f"Nothing was accepted as {accepted_id}.")
            details = {"tool": gone.tool, "path": gone.path, "kind": gone.kind}
            record(principal, "evaluation.take_back", subject, details)

        await self._database.run(write)


def found_in(run: Run) -> list[Pair]:
    """Return the differences of a replay that nobody accepted, each once."""
    found = [
        Pair(item.tool, difference["path"], difference["kind"])
        for item in run.results
        for difference in open_ones(item.differences)
    ]
    return list(dict.fromkeys(found))


def _marked(run: Run, server_id: int) -> Run:
    """Mark what is accepted by now in a replay's results."""
    accepted = {
        Pair(item.tool, item.path, item.kind)
        for item in suite_store.accepted(server_id)
    }
    results = [_with(item, accepted) for item in run.results]
    after = replace(run, results=tuple(results))
    run_store.update_differences(run.id, results, summary_of(after))
    return run_store.whole(run.id)


def _with(result: Result, accepted: set[Pair]) -> Result:
    differences: list[Mapping[str, Any]] = [
        {
            **item,
            "accepted": Pair(result.tool, item["path"], item["kind"]) in accepted,
        }
        for item in result.differences
    ]
    changed = replace(result, differences=tuple(differences))
    if result.outcome is Outcome.FAILED and not open_ones(differences):
        changed = replace(changed, outcome=Outcome.PASSED, score=1.0, problem="")
    return changed
