"""What automatic steps do when it is their turn; each may be asked again after a crash at any line."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.governance.model import Outcome
from appliance.governance.steps import evaluation, recertification, replay
from appliance.governance.steps.base import Answer, Done, Told, Work, Worker
from appliance.governance.steps.credential_rotation import CredentialRotationKind
from appliance.governance.steps.soak import Reading, SoakKind, look
from appliance.governance.steps.webhook import (
    WebhookKind,
    body_of,
    callback_token,
)
from appliance.infra.database import Database
from appliance.jobs.queue import enqueue
from appliance.notifying.sending import Delivery, Sender

#: Rotates the registry's credentials, and says what came of it.
Rotate = Callable[[], Awaitable[str]]
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def workers(
    database: Database,
    sender: Sender,
    *,
    public_url: str,
    rotate: Rotate | None = None,
) -> Mapping[str, Worker]:
    """Return who works at which kind of step.

    Args:
        database: For those that ask another room.
        sender: For webhooks.
        public_url: Where programs reach the hub; empty: they are told the path alone.
        rotate: ``None``: there is no registry.
    """
    asking = {
        evaluation.EvaluationKind.name: (evaluation.JOB, evaluation.payload),
        replay.ReplayKind.name: (replay.JOB, replay.payload),
        recertification.RecertificationKind.name: (
            recertification.JOB,
            recertification.payload,
        ),
    }
    return {
        **{name: Asking(database, *how) for name, how in asking.items()},
        SoakKind.name: soak,
        WebhookKind.name: Calling(sender, public_url),
        CredentialRotationKind.name: Rotating(rotate),
    }


class Asking:
    """Has another room do the work, by a job that it knows by name; that room says when it has ended."""

    def __init__(
        self, database: Database, job: str, payload: Callable[..., dict[str, Any]]
    ) -> None:
        """Keep whom to ask."""
        self._database = database
        self._job = job
        self._payload = payload

    async def __call__(self, work: Work) -> Answer:
        """Enqueue the job; the step's number tells the other room what it has had already."""
        if work.step.progress.get("asked"):
            return Told()
        told = self._payload(
            work.step.config,
            digest=work.run.digest,
            tier=work.run.tier,
            step_run_id=work.step.id,
        )
        # Of a digest that strangers' servers have, too, only the owner's are asked.
        told["artifact_run_id"] = work.run.artifact_run_id
        # Not the lane of our own looks, which would wait for it.
        lane = f"{self._job}:{work.step.id}"
        await self._database.run(enqueue, self._job, told, lane=lane)
        return Told({"asked": True})


async def soak(work: Work) -> Answer:
    """Count the time that has passed since the last look."""
    boot = (await asyncio.to_thread(_BOOT_ID.read_text)).strip()
    reading = Reading(boot, time.clock_gettime(time.CLOCK_BOOTTIME))
    return look(work.step.config["seconds"], work.step.progress, reading)


class Calling:
    """Tells a program of a step, and waits for its word where the step says so."""

    def __init__(self, sender: Sender, public_url: str) -> None:
        """Keep by what to send."""
        self._sender = sender
        self._public_url = public_url.rstrip("/")

    async def __call__(self, work: Work) -> Answer:
        """Send it once; what is sent again after a crash carries the same delivery id."""
        if work.step.progress.get("sent"):
            return Told()
        step, waits = work.step, work.step.config["wait"]
        callback = None
        if waits:
            callback = {
                "url": f"{self._public_url}/api/governance/callbacks/{step.id}",
                "token": callback_token(work.secret, step.id),
            }
        delivery = Delivery(
            url=step.config["url"],
            id=f"step-{step.id}",
            body=body_of(work.run, step, callback),
            secret=work.secret,
        )
        status = await self._sender.send(delivery)
        if waits:
            return Told({"sent": True})
        return Done(Outcome.PASSED, f"It answered {status}.")


class Rotating:
    """Rotates the registry's credentials."""

    def __init__(self, rotate: Rotate | None) -> None:
        """Keep how."""
        self._rotate = rotate

    async def __call__(self, work: Work) -> Answer:  # noqa: ARG002 - there is one registry
        """Rotate them now."""
        if self._rotate is None:
            return Done(Outcome.FAILED, "REGISTRY is not set, so there are no credentials.")  # fmt: skip
        return Done(Outcome.PASSED, await self._rotate())
