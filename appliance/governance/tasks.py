"""Job entry points: a look at a step, another room's word about one, a notification; and the sweep of the clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from appliance.accounts.model import SYSTEM
from appliance.core.errors import DomainError, UnavailableError
from appliance.governance import keeping, store
from appliance.governance.errors import RunNotFoundError
from appliance.governance.model import Outcome, Run, Status
from appliance.governance.runs import MAX_SUMMARY
from appliance.governance.steps.base import Done, Told, Wait, Work, Worker
from appliance.governance.telling import mail_text, told_of
from appliance.governance.workflows import SEALED_FOR
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.jobs.model import Again, JobContext
from appliance.notifying.errors import SendRefusedError
from appliance.notifying.mail import Mailer
from appliance.notifying.sending import Delivery, Sender

log = structlog.get_logger("governance")

#: Once a minute runs are looked at whose time is over, and steps whose job was lost.
SWEEP_EVERY_S = 60.0


class StepTask:
    """Looks at an automatic step whose turn it is."""

    def __init__(
        self, database: Database, sealer: Sealer, workers: Mapping[str, Worker]
    ) -> None:
        """Keep who works at which kind."""
        self._database = database
        self._sealer = sealer
        self._workers = workers

    async def __call__(
        self, context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Do what the step's kind does, and write what came of it; a step whose turn is over is left alone."""
        step_run_id = int(payload["step_run_id"])
        work = await self._database.run(self._work, step_run_id)
        if work is None:
            return None
        answer = await self._answer(context, work)
        match answer:
            case Done(outcome, summary, evidence):
                await self._database.run(
                    keeping.end_step,
                    step_run_id,
                    outcome,
                    summary,
                    evidence,
                    actor=SYSTEM,
                )
            case Told(progress) | Wait(_, progress):
                if progress is not None:
                    await self._database.run(store.remember, step_run_id, progress)
        return Again(answer.after_s) if isinstance(answer, Wait) else None

    async def _answer(self, context: JobContext, work: Work) -> Done | Wait | Told:
        try:
            return await self._workers[work.step.kind](work)
        except UnavailableError as error:
            if context.job.attempt < context.job.max_attempts:
                raise
            return Done(Outcome.FAILED, error.reason[:MAX_SUMMARY])
        except DomainError as error:
            return Done(Outcome.FAILED, error.reason[:MAX_SUMMARY])

    def _work(self, step_run_id: int) -> Work | None:
        run_id = store.run_of_step(step_run_id)
        run = store.get(run_id) if run_id is not None else None
        step = run.current if run else None
        if run is None or step is None or step.id != step_run_id:
            return None
        secret = self._sealer.unseal(store.secret(run.id), SEALED_FOR)
        return Work(run, step, store.moment(), secret)


class StepEndedTask:
    """Takes another room's word about a step."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """End the step; told twice, it counts once."""
        await self._database.run(
            keeping.end_step,
            int(payload["step_run_id"]),
            Outcome(payload["outcome"]),
            str(payload.get("summary") or "")[:MAX_SUMMARY],
            payload.get("evidence_ref"),
            actor=SYSTEM,
        )
        return None


@dataclass(frozen=True)
class Ways:
    """By which notifications go out."""

    sender: Sender
    #: ``None``: no mail server is known.
    mailer: Mailer | None
    #: Where people reach the hub; empty: not known.
    public_url: str = ""


class NotifyTask:
    """Tells one address what became of a run, and writes down that it did."""

    def __init__(self, database: Database, sealer: Sealer, ways: Ways) -> None:
        """Keep the ways."""
        self._database = database
        self._sealer = sealer
        self._ways = ways

    async def __call__(
        self, context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Send it; what cannot be sent is written into the run's log."""
        run_id, to = int(payload["run_id"]), str(payload["to"])
        try:
            run = await self._database.run(store.get, run_id)
        except RunNotFoundError:
            return None
        if payload["what"] == "waiting" and not _still_waits(run, payload["position"]):
            return None
        try:
            await self._send(run, payload, delivery_id=f"notify-{context.job.id}")
        except UnavailableError as error:
            if context.job.attempt < context.job.max_attempts:
                raise
            await self._note(run_id, "notify_failed", f"{to}: {error.reason}")
        except DomainError as error:
            await self._note(run_id, "notify_failed", f"{to}: {error.reason}")
        else:
            await self._note(run_id, "notified", to)
        return None

    async def _send(
        self, run: Run, payload: Mapping[str, Any], *, delivery_id: str
    ) -> None:
        told = told_of(run, str(payload["what"]), payload["position"])
        address = f"/governance/runs/{run.id}"
        if payload["channel"] == "email":
            if self._ways.mailer is None:
                raise SendRefusedError("SMTP_HOST is not set, so no e-mail is sent.")
            text = mail_text(run, told, f"{self._ways.public_url}{address}")
            await self._ways.mailer.send(str(payload["to"]), told, text)
            return
        secret = await self._database.run(store.secret, run.id)
        body = {
            "event": f"governance.run.{payload['what']}",
            "text": told,
            "run": {
                "id": run.id,
                "title": run.title,
                "workflow": run.workflow_name,
                "status": run.status.value,
                "reason": run.reason,
                "tier": run.tier,
                "manifest_digest": run.digest,
                "url": f"{self._ways.public_url}{address}",
            },
        }
        unsealed = self._sealer.unseal(secret, SEALED_FOR)
        await self._ways.sender.send(
            Delivery(str(payload["to"]), delivery_id, body, unsealed)
        )

    async def _note(self, run_id: int, kind: str, note: str) -> None:
        await self._database.run(keeping.write_down, run_id, kind, note, actor=SYSTEM)


class Sweep:
    """Ends what is overdue by Postgres' clock, and has steps looked at again whose job was lost."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def __call__(self) -> None:
        """Look once."""
        for run_id in await self._database.run(lambda: store.overdue(store.moment())):
            await self._database.run(keeping.expire, run_id, SYSTEM)
        await self._database.run(_work_on_all)


def _work_on_all() -> None:
    for step_run_id in store.at_work():
        keeping.work_on(step_run_id)


def _still_waits(run: Run, position: int) -> bool:
    current = run.current
    return (
        run.status is Status.IN_PROGRESS
        and current is not None
        and current.position == position
    )
