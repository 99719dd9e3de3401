"""Redeploys that something outside starts: whoever shows a server's webhook secret, and GitHub."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from appliance.accounts.model import Principal
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer, UnsealError
from appliance.jobs.model import JobContext
from appliance.jobs.queue import enqueue
from appliance.observability.audit import Outcome
from appliance.observability.logs import current
from appliance.servers import store, webhook_store
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.deploys.lock_store import require_unlocked
from appliance.servers.deploys.model import Trigger
from appliance.servers.errors import (
    DeployLockedError,
    NoWebhookError,
    WebhookLimitedError,
    WebhookRefusedError,
)
from appliance.servers.model import DesiredState, Server, Status
from appliance.servers.service import (
    RECONCILE,
    lane_of,
)
from appliance.servers.webhook_pace import Pace
from appliance.servers.webhook_rules import (
    QUEUE,
    DeliveryOutcome,
    Door,
    GithubCall,
    Verdict,
    body_digest,
    has_secret,
    has_signature,
    is_well_formed,
    judge,
    payload_of,
)
from appliance.servers.webhook_store import Delivery, Webhook

__all__ = ["Delivery", "DeliveryOutcome", "GithubCall", "WebhookRedeploy", "WebhookService", "WebhookView"]  # fmt: skip

log = structlog.get_logger("servers.webhooks")

REDEPLOY = "servers.webhook_redeploy"
SECRET_PREFIX = "mcpw_"  # noqa: S105 - what secret scanners recognise
#: Of a server, whoever calls; more than that no repository is pushed to.
ACCEPTED_A_MINUTE = 30
#: Of an address that shows wrong secrets.
REFUSED_A_MINUTE = 20
#: Refused calls of one webhook that leave a trace.
TRACED_A_MINUTE = 5
SHOWN = 20


@dataclass(frozen=True)
class WebhookActor:
    """Who redeploys when a webhook asks for it."""

    user_id: int | None = None
    name: str = "webhook"


ACTOR = WebhookActor()


@dataclass(frozen=True)
class WebhookView:
    """A server's webhook as people see it; never with its secret."""

    is_on: bool
    created_by: str
    created_at: datetime | None
    #: Newest first.
    deliveries: Sequence[Delivery]


class WebhookService:
    """Makes secrets, and takes calls of those who know them.

    Args:
        secret: JWT_SECRET.
        previous: JWT_SECRET_PREVIOUS.
    """

    def __init__(self, database: Database, secret: bytes, *previous: bytes) -> None:
        """Start; nobody has called yet."""
        self._database = database
        self._sealer = Sealer(secret, *previous)
        self._accepted = Pace(ACCEPTED_A_MINUTE, 60)
        self._refused = Pace(REFUSED_A_MINUTE, 60)
        self._traced = Pace(TRACED_A_MINUTE, 60)
        # Compared with where there is no webhook, so that this takes as long.
        self._nobody = secrets.token_bytes(32)

    # -- for people

    async def get(self, principal: Principal, server: int | str) -> WebhookView:
        """Return the server's webhook and who called it last.

        Raises:
            ServerNotFoundError: There is no server that the principal may know of.
        """

        def read() -> WebhookView:
            found = visible_server(principal, server)
            webhook = webhook_store.find(found.id)
            return WebhookView(
                is_on=webhook is not None,
                created_by=webhook.created_by if webhook else "",
                created_at=webhook.created_at if webhook else None,
                deliveries=webhook_store.deliveries(found.id, limit=SHOWN),
            )

        return await self._database.run(read)

    async def renew(self, principal: Principal, server: int | str) -> str:
        """Return a new secret, shown this once; the one before, if any, stops working at once.

        Raises:
            ServerNotFoundError: There is no server that the principal may know of.
            NotAllowedError: They may not change it.
        """
        secret = f"{SECRET_PREFIX}{secrets.token_urlsafe(32)}"

        def write() -> None:
            found = writable_server(principal, server)
            is_first = webhook_store.find(found.id) is None
            sealed = self._sealer.seal(secret.encode(), _purpose(found.id))
            webhook_store.put(found.id, secret=sealed, created_by=principal.name)
            action = "server.webhook_make" if is_first else "server.webhook_rotate"
            record_write(principal, action, found)

        await self._database.run(write)
        return secret

    async def remove(self, principal: Principal, server: int | str) -> None:
        """Shut both doors; nobody starts a redeploy from outside any more.

        Raises:
            NoWebhookError: They are shut.
        """

        def write() -> None:
            found = writable_server(principal, server)
            if not webhook_store.remove(found.id):
                raise NoWebhookError(f"{found.name} has no webhook.")
            record_write(principal, "server.webhook_remove", found)

        await self._database.run(write)

    # -- for those outside

    async def call(self, server: int | str, secret: str) -> Verdict:
        """Redeploy for whoever shows the secret.

        Raises:
            WebhookRefusedError: No such webhook, or a wrong secret.
            WebhookLimitedError: Too often.
            DeployLockedError: The server is locked; says by whom and why.
        """
        webhook, known, problem = await self._door(server)
        if not has_secret(secret, known) or webhook is None:
            why = "The secret was wrong." if secret else "No secret was shown."
            await self._refuse(webhook, _delivery(Door.WEBHOOK, problem or why))
            raise _refusal()
        self._hold_back(webhook)
        delivery = _delivery(Door.WEBHOOK, QUEUE.detail)
        return _unless_locked(
            await self._database.run(_take, webhook, delivery, QUEUE, None)
        )

    async def github(self, server: int | str, call: GithubCall) -> Verdict:
        """Redeploy for a signed push to the tracked branch; say of anything else that was signed why nothing happens.

        Raises:
            WebhookRefusedError: No such webhook, or a wrong signature.
            WebhookLimitedError: Too often.
            WebhookBodyError: The signed payload cannot be read.
            DeployLockedError: The server is locked; says by whom and why.
        """
        webhook, known, problem = await self._door(server)
        is_right = has_signature(call, known) and is_well_formed(call)
        if not is_right or webhook is None:
            why = "The signature was wrong." if call.signature else "No signature."
            await self._refuse(webhook, _delivery(Door.GITHUB, problem or why))
            raise _refusal()
        self._hold_back(webhook)
        payload = payload_of(call) if call.event in {"push", "ping"} else {}
        delivery = replace(
            _delivery(Door.GITHUB, ""), event=call.event, delivery_id=call.delivery_id
        )

        def take() -> Verdict:
            found = store.find_by_id(webhook.server_id)
            if found is None:
                raise _refusal()
            verdict = judge(found.source, call.event, payload, now=now())
            return _take(webhook, delivery, verdict, body_digest(call.body))

        return _unless_locked(await self._database.run(take))

    async def _door(self, server: int | str) -> tuple[Webhook | None, bytes, str]:
        """Return the webhook, its secret and why it cannot be read; where it cannot, a secret that nobody knows."""

        def read() -> Webhook | None:
            found = (
                store.find_by_id(server)
                if isinstance(server, int)
                else store.find(server)
            )
            if found is None or found.desired_state is DesiredState.DELETED:
                return None
            return webhook_store.find(found.id)

        webhook = await self._database.run(read)
        if webhook is None:
            return None, self._nobody, ""
        try:
            purpose = _purpose(webhook.server_id)
            return webhook, self._sealer.unseal(webhook.secret, purpose), ""
        except UnsealError as error:
            log.warning("webhook.secret_unreadable", server_id=webhook.server_id)
            return webhook, self._nobody, f"{error.detail} Make a new one."

    async def _refuse(self, webhook: Webhook | None, delivery: Delivery) -> None:
        """Leave a trace for the server's owner, unless there are too many; slow down whoever guesses.

        Raises:
            WebhookLimitedError: This address was refused too often.
        """
        if webhook and not self._traced.take(str(webhook.server_id)):
            await self._database.run(_trace_refusal, webhook, delivery)
        if seconds := self._refused.take(delivery.address):
            raise _too_often(seconds)

    def _hold_back(self, webhook: Webhook) -> None:
        if seconds := self._accepted.take(str(webhook.server_id)):
            raise _too_often(seconds)

    async def prune(self) -> int:
        """Forget calls of long ago; return how many."""
        return await self._database.run(webhook_store.prune)


class WebhookRedeploy:
    """Adds the deployment that calls asked for, as a job in the server's lane.

    What runs in the lane comes to its end first, so pushes that follow each other closely never keep a build from ending; and
    of those that wait meanwhile one redeploy is made.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def __call__(self, context: JobContext, payload: Mapping[str, Any]) -> None:
        """Redeploy ``payload["server_id"]``."""
        await self._database.run(_redeploy, context.job.id, int(payload["server_id"]))


def _redeploy(job_id: int, server_id: int) -> None:
    found = store.find_by_id(server_id)
    if found is None or webhook_store.is_deployed(job_id):
        return
    if found.desired_state is not DesiredState.RUNNING:
        ended = {"outcome": DeliveryOutcome.IGNORED.value, "detail": _STOPPED.detail}
        webhook_store.settle(job_id, server_id, **ended)
        return
    try:
        deployment = store.add_deployment(
            found, requested_by=ACTOR.name, trigger=Trigger.WEBHOOK
        )
    except DeployLockedError as error:
        # It was locked after the call was taken.
        ended = {"outcome": DeliveryOutcome.IGNORED.value, "detail": error.detail}
        webhook_store.settle(job_id, server_id, **ended)
        return
    store.set_status(server_id, Status.QUEUED)
    webhook_store.settle(job_id, server_id, deployment_id=deployment.id)
    enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))


@dataclass(frozen=True)
class LockedVerdict(Verdict):
    """The server is locked against deployments, and the caller is told so."""


def _unless_locked(verdict: Verdict) -> Verdict:
    """Return ``verdict``, which is written down by now, or raise what the caller is told."""
    if isinstance(verdict, LockedVerdict):
        raise DeployLockedError(verdict.detail)
    return verdict


def _locked(server: Server) -> LockedVerdict | None:
    try:
        require_unlocked(server.id, server.name)
    except DeployLockedError as error:
        return LockedVerdict(DeliveryOutcome.IGNORED, error.detail)
    return None


_STOPPED = Verdict(
    DeliveryOutcome.IGNORED, "The server is stopped; a redeploy by hand takes the push."
)
_REPLAYED = Verdict(
    DeliveryOutcome.REPLAYED, "This delivery came before; nothing was done again."
)


def _take(
    webhook: Webhook, delivery: Delivery, verdict: Verdict, digest: bytes | None
) -> Verdict:
    """Write what a rightful call comes to, with the job that does it; runs inside ``database.run``."""
    # The row is locked until the end, so that of two calls at once the second sees what the first wrote.
    if not webhook_store.lock(webhook):
        raise _refusal()
    found = store.get(webhook.server_id)
    delivery_id = delivery.delivery_id or ""
    if not verdict.outcome.is_effective:
        final, job_id = verdict, None
    elif digest and webhook_store.is_known(found.id, delivery_id, digest):
        final, job_id = _REPLAYED, None
    elif found.desired_state is not DesiredState.RUNNING:
        final, job_id = _STOPPED, None
    elif locked := _locked(found):
        final, job_id = locked, None
    else:
        final, job_id = _enqueue(found)
    written = replace(delivery, outcome=final.outcome, detail=final.detail)
    webhook_store.add(found.id, written, body_digest=digest, job_id=job_id)
    details = {
        "door": delivery.door.value,
        "event": delivery.event,
        "delivery": delivery_id,
        "outcome": final.outcome.value,
    }
    record_write(ACTOR, "server.webhook_call", found, details)
    return final


def _enqueue(server: Server) -> tuple[Verdict, int]:
    job_id = enqueue(REDEPLOY, {"server_id": server.id}, lane=lane_of(server.id))
    if not webhook_store.has_job(job_id):
        return QUEUE, job_id
    coalesced = "A redeploy waits already, and takes this in."
    return Verdict(DeliveryOutcome.COALESCED, coalesced), job_id


def _trace_refusal(webhook: Webhook, delivery: Delivery) -> None:
    found = store.find_by_id(webhook.server_id)
    if found is None:
        return
    webhook_store.add_refused(found.id, delivery)
    details = {"door": delivery.door.value, "why": delivery.detail}
    record_write(ACTOR, "server.webhook_call", found, details, outcome=Outcome.DENIED)


def _delivery(door: Door, detail: str) -> Delivery:
    return Delivery(
        at=now(),
        door=door,
        event="",
        delivery_id=None,
        outcome=DeliveryOutcome.REFUSED,
        detail=detail,
        address=current("address"),
    )


def _refusal() -> WebhookRefusedError:
    return WebhookRefusedError(
        "There is no such webhook, or the request does not show its secret."
    )


def _too_often(seconds: int) -> WebhookLimitedError:
    return WebhookLimitedError("Too many calls.", retry_after_s=seconds)


def _purpose(server_id: int) -> str:
    return f"webhook:{server_id}"
