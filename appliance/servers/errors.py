"""What the product refuses about servers."""

from appliance.core.errors import (
    ConflictError,
    InvalidError,
    LimitedError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)


class ServerNotFoundError(NotFoundError):
    """There is no such server, or the caller may not know of it."""

    code = "server_not_found"


class ServerNameTakenError(ConflictError):
    """Another server has the name."""

    code = "server_name_taken"


class ServerDeletedError(ConflictError):
    """The server is being deleted."""

    code = "server_deleted"


class ServerNotRunningError(ConflictError):
    """The action needs a running server."""

    code = "server_not_running"


class NoLockError(NotFoundError):
    """The server runs no package, or none was built yet."""

    code = "no_lock"


class NoCredentialError(NotFoundError):
    """The server's source has no credential."""

    code = "no_source_credential"


class NoArchiveError(ConflictError):
    """The server is not made of an uploaded archive."""

    code = "no_archive"


class EntryUnreachableError(UnavailableError):
    """A registry's entry could not be read."""

    code = "entry_unreachable"


class NoBuildError(NotFoundError):
    """The server has no build to show."""

    code = "no_build"


class CallRefusedError(InvalidError):
    """The server does not know the tool, or not these arguments."""

    code = "call_refused"


class WebhookRefusedError(UnauthenticatedError):
    """There is no such webhook, or the caller did not show its secret; which of both is not told."""

    code = "webhook_refused"


class WebhookLimitedError(LimitedError):
    """The webhook was called too often."""

    code = "webhook_limited"


class WebhookBodyError(InvalidError):
    """A signed event whose payload cannot be read."""

    code = "webhook_body"


class NoWebhookError(NotFoundError):
    """The server has no webhook."""

    code = "no_webhook"


class NothingToCheckError(ConflictError):
    """Nothing of the server runs that could be asked."""

    code = "nothing_to_check"


class DeployLockedError(ConflictError):
    """The server is locked against deployments."""

    code = "deploy_locked"


class NoDeploymentError(NotFoundError):
    """The server has no deployment of this number."""

    code = "no_deployment"


class NotPendingError(ConflictError):
    """Only a deployment that is on its way can be cancelled."""

    code = "deployment_not_pending"


class NotRetainedError(ConflictError):
    """There is nothing left of the deployment that could be gone back to."""

    code = "deployment_not_retained"


class BuildMinutesReachedError(ConflictError):
    """The build minutes of this month are used up."""

    code = "build_minutes_reached"


class DiskQuotaReachedError(ConflictError):
    """What belongs to an owner takes as much of the disk as it may."""

    code = "disk_quota_reached"
