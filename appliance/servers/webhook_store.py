"""Webhooks and their calls as rows. Every function runs inside ``database.run``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN

from appliance.core.clock import now
from appliance.observability.events import publish_in_transaction
from appliance.servers.tables import DeploymentRow, WebhookDeliveryRow, WebhookRow
from appliance.servers.webhook_rules import KEEP, DeliveryOutcome, Door

#: Rows of refused calls that a server keeps: strangers make them.
KEEP_REFUSED = 20


@dataclass(frozen=True)
class Webhook:
    """By what a server's redeploy may be started from outside."""

    server_id: int
    #: Sealed.
    secret: bytes
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """One call of a webhook."""

    at: datetime
    door: Door
    event: str
    delivery_id: str | None
    outcome: DeliveryOutcome
    detail: str
    address: str
    #: The deployment that it led to, once that was made.
    deployment: int | None = None
    deployment_state: str | None = None
    id: int = 0


def find(server_id: int) -> Webhook | None:
    """Return the server's webhook, if it has one."""
    row = WebhookRow.get_or_none(WebhookRow.server_id == server_id)
    if row is None:
        return None
    return Webhook(row.server_id, bytes(row.secret), row.created_by, row.created_at)


def lock(webhook: Webhook) -> bool:
    """Hold the webhook until the transaction ends; return ``False`` if it is gone or has another secret by now."""
    return bool(
        WebhookRow.select()
        .where(
            WebhookRow.server_id == webhook.server_id,
            WebhookRow.secret == webhook.secret,
        )
        .for_update()
        .first()
    )


def put(server_id: int, *, secret: bytes, created_by: str) -> None:
    """Write the webhook's secret, instead of the one before."""
    values = {"secret": secret, "created_by": created_by, "created_at": now()}
    WebhookRow.insert(server_id=server_id, **values).on_conflict(
        conflict_target=[WebhookRow.server_id], update=values
    ).execute()


def remove(server_id: int) -> bool:
    """Remove the webhook; return whether there was one. What was delivered stays to be seen."""
    return bool(WebhookRow.delete().where(WebhookRow.server_id == server_id).execute())


def add(
    server_id: int,
    delivery: Delivery,
    *,
    body_digest: bytes | None = None,
    job_id: int | None = None,
) -> bool:
    """Write a call; return ``False``, and write nothing, if it led to a redeploy before."""
    rows = (
        WebhookDeliveryRow.insert(
            server_id=server_id,
            at=delivery.at,
            door=delivery.door.value,
            event=delivery.event,
            delivery_id=delivery.delivery_id,
            body_digest=body_digest,
            outcome=delivery.outcome.value,
            detail=delivery.detail,
            address=delivery.address,
            job_id=job_id,
        )
        .on_conflict(action="IGNORE")
        .returning(WebhookDeliveryRow.id)
        .execute()
    )
    is_new = bool(list(rows))
    if is_new:
        publish_in_transaction("server.webhook", server_id)
    return is_new


def is_known(server_id: int, delivery_id: str, body_digest: bytes) -> bool:
    """Return whether this delivery, or its body under another id, led to a redeploy before."""
    same = (WebhookDeliveryRow.delivery_id == delivery_id) | (
        WebhookDeliveryRow.body_digest == body_digest
    )
    effective = [item.value for item in DeliveryOutcome if item.is_effective]
    return bool(
        WebhookDeliveryRow.select()
        .where(
            WebhookDeliveryRow.server_id == server_id,
            same,
            WebhookDeliveryRow.outcome.in_(effective),
        )
        .exists()
    )


def add_refused(server_id: int, delivery: Delivery) -> None:
    """Write a call that was refused, and let go of the oldest such rows."""
    add(server_id, delivery)
    refused = (WebhookDeliveryRow.server_id == server_id) & (
        WebhookDeliveryRow.outcome == DeliveryOutcome.REFUSED.value
    )
    kept = (
        WebhookDeliveryRow.select(WebhookDeliveryRow.id)
        .where(refused)
        .order_by(WebhookDeliveryRow.id.desc())
        .limit(KEEP_REFUSED)
    )
    WebhookDeliveryRow.delete().where(
        refused, WebhookDeliveryRow.id.not_in(kept)
    ).execute()


def has_job(job_id: int) -> bool:
    """Return whether an earlier call waits for the same job."""
    return bool(
        WebhookDeliveryRow.select().where(WebhookDeliveryRow.job_id == job_id).exists()
    )


def is_deployed(job_id: int) -> bool:
    """Return whether the job has made its deployment already."""
    return bool(
        WebhookDeliveryRow.select()
        .where(
            WebhookDeliveryRow.job_id == job_id,
            WebhookDeliveryRow.deployment_id.is_null(is_null=False),
        )
        .exists()
    )


def settle(job_id: int, server_id: int, **values: Any) -> None:
    """Write on all calls that waited for a job what it did."""
    WebhookDeliveryRow.update(values).where(
        WebhookDeliveryRow.job_id == job_id
    ).execute()
    publish_in_transaction("server.webhook", server_id)


def deliveries(server_id: int, *, limit: int) -> Sequence[Delivery]:
    """Return the newest calls, newest first."""
    rows = (
        WebhookDeliveryRow.select(
            WebhookDeliveryRow, DeploymentRow.number, DeploymentRow.state
        )
        .join(
            DeploymentRow,
            JOIN.LEFT_OUTER,
            on=DeploymentRow.id == WebhookDeliveryRow.deployment_id,
        )
        .where(WebhookDeliveryRow.server_id == server_id)
        .order_by(WebhookDeliveryRow.id.desc())
        .limit(limit)
    )
    found: Any = rows.objects()
    return [_delivery(row) for row in found]


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        at=row.at,
        door=Door(row.door),
        event=row.event,
        delivery_id=row.delivery_id,
        outcome=DeliveryOutcome(row.outcome),
        detail=row.detail,
        address=row.address,
        deployment=row.number,
        deployment_state=row.state,
    )


def prune() -> int:
    """Remove what is older than ``KEEP``; return how many rows went."""
    return int(
        WebhookDeliveryRow.delete()
        .where(WebhookDeliveryRow.at < now() - KEEP)
        .execute()
    )
