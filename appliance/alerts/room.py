"""Everything of alerts that the hub holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.alerts.delivery import DeliverTask, Ways
from appliance.alerts.model import DELIVER, Source
from appliance.alerts.outage import OutageWatch
from appliance.alerts.service import AlertService
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.jobs.model import Handler
from appliance.notifying.mail import Mailer, postbox_of
from appliance.notifying.sending import Sender
from appliance.settings import Settings


@dataclass(frozen=True)
class Alerts:
    """The service, the handlers of its jobs, and the watch that works without a database."""

    service: AlertService
    handlers: Mapping[str, Handler]
    outage: OutageWatch


def make_alerts(
    database: Database, settings: Settings, sources: Mapping[str, Source]
) -> Alerts:
    """Return alerts as the settings want them."""
    postbox = postbox_of(settings)
    public_url = (settings.public_url or "").rstrip("/")
    ways = Ways(
        sender=Sender(allow_private=settings.remote_allow_private),
        mailer=Mailer(postbox) if postbox else None,
        sealer=Sealer(*settings.jwt_secrets),
        box=urlsplit(public_url).hostname or "MCP Host",
        public_url=public_url,
    )
    return Alerts(
        AlertService(database, ways, sources),
        {DELIVER: DeliverTask(database, ways)},
        OutageWatch(database, ways),
    )
