"""What people and programs do with runs of workflows."""

import hmac
from dataclasses import dataclass

from appliance.accounts.access import may, sight
from appliance.accounts.model import SYSTEM, Action, Principal, Role
from appliance.governance import deciding, keeping, store
from appliance.governance.deciding import Decision
from appliance.governance.errors import CallbackRefusedError
from appliance.governance.model import (
    NewRun,
    Outcome,
    Run,
    RunLine,
    Status,
    StepRun,
)
from appliance.governance.steps import APPROVAL, KINDS
from appliance.governance.steps.approval import Standing, standing
from appliance.governance.steps.webhook import WebhookKind, callback_token
from appliance.governance.targets import target_of
from appliance.governance.workflows import SEALED_FOR, visible
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer

#: Characters of what a program says about a step.
MAX_SUMMARY = 500


@dataclass(frozen=True)
class StepView:
    """A step as somebody sees it."""

    step: StepRun
    #: What it waits for, in one sentence.
    waits_for: str
    #: How far its approvals are; ``None``: it has none.
    standing: Standing | None


@dataclass(frozen=True)
class RunView:
    """A run as somebody sees it."""

    run: Run
    steps: tuple[StepView, ...]
    log: tuple[RunLine, ...]
    #: Whether they may set its status.
    may_change: bool
    #: Whether they may decide about its step now.
    may_decide: bool
    #: What keeps them from it where it is an approval's turn; empty: nothing.
    obstacle: str


class RunService:
    """Starts runs, shows them and takes decisions on behalf of a principal.

    Whoever may not know of a run gets ``RunNotFoundError``. A run may be known by whoever may see its workflow's owner's
    things, and by those whom one of its steps names.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        """Keep the collaborators."""
        self._database = database
        self._sealer = sealer

    # -- reading

    async def get(self, principal: Principal, run_id: int) -> RunView:
        """Return one run with its steps and its log."""
        return await self._database.run(
            lambda: view(principal, deciding.known(principal, store.get(run_id)))
        )

    async def page(
        self,
        principal: Principal,
        *,
        status: Status | None = None,
        workflow: int | str | None = None,
        digest: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return up to ``limit`` runs that the principal may know of, newest first; ``before`` is the cursor."""

        def read() -> list[Run]:
            wanted = visible(principal, workflow).id if workflow is not None else None
            return store.page(
                sight(principal),
                named=store.named_in(principal.email, sorted(principal.memberships)),
                status=status,
                workflow_id=wanted,
                digest=digest,
                before=before,
                limit=limit,
            )

        return await self._database.run(read)

    async def inbox(self, principal: Principal) -> list[RunView]:
        """Return the runs that wait for this person's decision, oldest first."""

        def read() -> list[RunView]:
            return [view(principal, run) for run in _waiting(principal)]

        return await self._database.run(read)

    async def inbox_count(self, principal: Principal) -> int:
        """Return how many runs wait for this person's decision."""
        return await self._database.run(lambda: len(_waiting(principal)))

    # -- writing

    async def start(  # noqa: PLR0913 - what a run is made of
        self,
        principal: Principal,
        workflow: int | str,
        *,
        digest: str = "",
        tier: str = "",
        artifact_run_id: int | None = None,
        title: str = "",
        begins: bool = True,
    ) -> RunView:
        """Start a run of a workflow for a digest or a run of the ledger.

        Raises:
            WorkflowNotFoundError: There is none of which the principal may know.
            NotAllowedError: They may see it, not run it.
            InvalidError: There is no such thing to decide about, or the workflow is not for its tier.
        """

        def write() -> RunView:
            found = visible(principal, workflow, Action.DEPLOY)
            target = target_of(
                principal, digest=digest, tier=tier, artifact_run_id=artifact_run_id
            )
            name = target.server_name or target.digest[:19]
            said = title.strip() or f"{found.name} for {name}"
            run = keeping.start(principal, found, NewRun(target, said, begins))
            return view(principal, run)

        return await self._database.run(write)

    async def set_status(
        self,
        principal: Principal,
        run_id: int,
        status: Status,
        *,
        note: str = "",
        version: int | None = None,
    ) -> RunView:
        """Set a run's status by hand: begin, complete, fail, reject or cancel it.

        Raises:
            NotAllowedError: The principal may see it, not change it.
            RunEndedError, StepsOpenError, StepNotOpenError: It is in a state that forbids this.
            StaleVersionError: It is another version by now.
        """

        def write() -> RunView:
            deciding.known(principal, store.get(run_id), Action.DEPLOY)
            after = keeping.set_status(
                principal, run_id, status, note.strip(), version=version
            )
            return view(principal, after)

        return await self._database.run(write)

    async def decide(
        self,
        principal: Principal,
        run_id: int,
        position: int,
        decision: Decision,
        *,
        version: int | None = None,
    ) -> RunView:
        """Approve or reject the step whose turn it is; see ``deciding.decide``."""

        def write() -> RunView:
            after = deciding.decide(
                principal, run_id, position, decision, version=version
            )
            return view(principal, after)

        return await self._database.run(write)

    async def answer(
        self, step_run_id: int, token: str, outcome: Outcome, summary: str
    ) -> None:
        """Take a program's word about a webhook's step that waits for it; said twice, it counts once.

        Raises:
            CallbackRefusedError: No step waits for it, or the token is another one's.
        """

        def write() -> None:
            if not self._is_awaited(step_run_id, token):
                raise CallbackRefusedError("No step waits for this answer.")
            keeping.end_step(
                step_run_id,
                outcome,
                summary.strip()[:MAX_SUMMARY] or f"The program said {outcome.value}.",
                None,
                actor=SYSTEM,
            )

        await self._database.run(write)

    def _is_awaited(self, step_run_id: int, token: str) -> bool:
        run_id = store.run_of_step(step_run_id)
        if run_id is None:
            return False
        step = next(item for item in store.get(run_id).steps if item.id == step_run_id)
        if step.kind != WebhookKind.name or not step.config["wait"]:
            return False
        secret = self._sealer.unseal(store.secret(run_id), SEALED_FOR)
        expected = callback_token(secret, step_run_id)
        return hmac.compare_digest(expected.encode(), token.encode())


def view(principal: Principal, run: Run) -> RunView:
    """Return a run as somebody sees it; runs inside ``database.run``."""
    current = run.current
    is_approval = current is not None and current.kind == APPROVAL
    obstacle = (
        deciding.obstacle(principal, run, current)
        if is_approval and current is not None
        else ""
    )
    return RunView(
        run=run,
        steps=tuple(_step_view(step) for step in run.steps),
        log=tuple(store.lines(run.id)),
        may_change=may(principal, Action.DEPLOY, run.thing),
        may_decide=is_approval and not obstacle,
        obstacle=obstacle,
    )


def _step_view(step: StepRun) -> StepView:
    kind = KINDS[step.kind]
    far = standing(step.config, step.approvals) if step.kind == APPROVAL else None
    return StepView(step, kind.describe(step.config), far)


def _waiting(principal: Principal) -> list[Run]:
    if principal.user_id is None or principal.role is Role.READER:
        return []
    return [
        run
        for run in store.waiting()
        if deciding.may_know(principal, run)
        and run.current is not None
        and not deciding.obstacle(principal, run, run.current)
    ]
