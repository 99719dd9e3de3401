"""Everything of governance that the hub holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.governance.model import NOTIFY, STEP, STEP_ENDED
from appliance.governance.runs import RunService
from appliance.governance.tasks import (
    NotifyTask,
    StepEndedTask,
    StepTask,
    Sweep,
    Ways,
)
from appliance.governance.workflows import WorkflowService
from appliance.governance.working import Rotate, workers
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.jobs.model import Handler
from appliance.notifying.mail import Mailer, postbox_of
from appliance.notifying.sending import Sender
from appliance.settings import Settings


@dataclass(frozen=True)
class Governance:
    """Services for people, handlers for jobs, and what the clock does."""

    workflows: WorkflowService
    runs: RunService
    handlers: Mapping[str, Handler]
    sweep: Sweep


def make_governance(
    database: Database, settings: Settings, *, rotate: Rotate | None = None
) -> Governance:
    """Return governance as the settings want it.

    Args:
        database: Where all of it lies.
        settings: Where the hub is reached, and where e-mail goes.
        rotate: Rotates the registry's credentials; ``None``: there is no registry.
    """
    sealer = Sealer(*settings.jwt_secrets)
    sender = Sender(allow_private=settings.remote_allow_private)
    postbox = postbox_of(settings)
    public_url = (settings.public_url or "").rstrip("/")
    ways = Ways(sender, Mailer(postbox) if postbox else None, public_url)
    at_work = workers(database, sender, public_url=public_url, rotate=rotate)
    handlers: dict[str, Handler] = {
        STEP: StepTask(database, sealer, at_work),
        STEP_ENDED: StepEndedTask(database),
        NOTIFY: NotifyTask(database, sealer, ways),
    }
    return Governance(
        WorkflowService(database, sealer),
        RunService(database, sealer),
        handlers,
        Sweep(database),
    )
