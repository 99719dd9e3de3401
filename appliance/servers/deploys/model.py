"""What is known of deployments beyond the attempt itself: by what they were started, and what keeps others from being."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: The job that watches a version in its first minutes.
WATCH = "servers.watch_deployment"


class Trigger(StrEnum):
    """By what a deployment was started."""

    CREATE = "create"
    START = "start"
    REDEPLOY = "redeploy"
    CONFIGURE = "configure"
    SETTINGS = "settings"
    SOURCE = "source"
    SECRETS = "secrets"
    WEBHOOK = "webhook"
    #: The appliance's own second try of a package, as of its release.
    SECOND_ATTEMPT = "second-attempt"
    ROLLBACK = "rollback"
    #: The appliance took a version back whose calls failed.
    AUTOMATIC_ROLLBACK = "automatic-rollback"

    @property
    def is_lockable(self) -> bool:
        """Whether a deploy lock refuses it: what the appliance does to mend something is not held up."""
        return self not in {Trigger.SECOND_ATTEMPT, Trigger.AUTOMATIC_ROLLBACK}

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody waits for the answer, who is told of a quota at once; the others fail when the build would begin."""
        return self.is_lockable and self not in {Trigger.WEBHOOK, Trigger.SECRETS}


@dataclass(frozen=True)
class DeployLock:
    """Why a server is not deployed for a while."""

    server_id: int
    reason: str
    locked_by: str
    locked_at: datetime
