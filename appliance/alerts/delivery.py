"""How one alert reaches one channel, and the job that tries until it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from appliance.alerts import store, telling
from appliance.alerts.errors import AlertNotFoundError, ChannelNotFoundError
from appliance.alerts.model import DELIVER, Alert, Channel, ChannelKind, News
from appliance.core.errors import DomainError
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.jobs.model import JobContext
from appliance.jobs.queue import enqueue
from appliance.notifying.errors import SendRefusedError
from appliance.notifying.mail import Mailer
from appliance.notifying.sending import Delivery, Sender

log = structlog.get_logger("alerts")

SEALED_FOR = "alert-channel"
MAX_ERROR = 300
#: With the queue's growing pauses.
ATTEMPTS = 20


@dataclass(frozen=True)
class Ways:
    """By which alerts go out."""

    sender: Sender
    #: ``None``: no mail server is known.
    mailer: Mailer | None
    sealer: Sealer
    #: What the box is called, and where its pages are; empty: not known.
    box: str
    public_url: str

    async def send(
        self, channel: Channel, sealed: bytes, alert: Alert, news: News, *, id_: str
    ) -> None:
        """Tell one channel.

        Args:
            id_: The same for every attempt.

        Raises:
            SendRefusedError: It cannot be sent there.
            NotSentError: It did not arrive; another attempt may.
        """
        url = f"{self.public_url}/alerts"
        if channel.kind is ChannelKind.WEBHOOK:
            body = telling.body(alert, news, box=self.box, url=url)
            secret = self.sealer.unseal(sealed, SEALED_FOR)
            await self.sender.send(Delivery(channel.address, id_, body, secret))
            return
        if self.mailer is None:
            raise SendRefusedError("SMTP_HOST is not set, so no e-mail is sent.")
        subject = f"{self.box}: {telling.headline(alert, news)}"
        text = telling.mail_text(alert, news, box=self.box, url=url)
        await self.mailer.send(channel.address, subject[:200], text)


class DeliverTask:
    """Tells one channel of one alert; the queue tries again what did not arrive."""

    def __init__(self, database: Database, ways: Ways) -> None:
        """Keep the ways."""
        self._database = database
        self._ways = ways

    async def __call__(self, context: JobContext, payload: Mapping[str, Any]) -> None:
        """Send it, and write down at the channel how that went.

        Raises:
            NotSentError: It did not arrive.
            SendRefusedError: It never will.
        """
        alert_id, channel_id = int(payload["alert_id"]), int(payload["channel_id"])
        try:
            alert = await self._database.run(store.get, alert_id)
            channel, sealed = await self._database.run(store.channel, channel_id)
        except (AlertNotFoundError, ChannelNotFoundError):
            return  # whoever removed it wants no word of it
        news = News(payload["news"])
        if news is not News.ENDED and alert.ended_at is not None:
            return  # it took so long that it is over; its end is told by itself
        await deliver(
            self._database, self._ways, channel, sealed, alert, news, f"alert-{context.job.id}"
        )  # fmt: skip


def tell_later(alert_id: int, channel_id: int, news: News) -> None:
    """Have one channel told; runs inside ``database.run``."""
    payload = {"alert_id": alert_id, "channel_id": channel_id, "news": news.value}
    enqueue(DELIVER, payload, max_attempts=ATTEMPTS)


async def deliver(  # noqa: PLR0913, PLR0917 - one word of each
    database: Database,
    ways: Ways,
    channel: Channel,
    sealed: bytes,
    alert: Alert,
    news: News,
    id_: str,
) -> None:
    """Send, and write down at the channel how that went.

    Raises:
        NotSentError: It did not arrive.
        SendRefusedError: It never will.
    """
    try:
        await ways.send(channel, sealed, alert, news, id_=id_)
    except DomainError as problem:
        await database.run(store.sent, channel.id, problem.reason[:MAX_ERROR])
        raise
    # How it went is not known of one that a stopping hub broke off.
    await database.run(store.sent, channel.id, "")
