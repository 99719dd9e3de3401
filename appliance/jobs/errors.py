"""What can be wrong with jobs."""

from appliance.core.errors import ConflictError, NotFoundError, UnavailableError


class JobNotFoundError(NotFoundError):
    """There is no such job, or it is no longer kept."""

    code = "job_not_found"


class JobFinishedError(ConflictError):
    """The job has ended, so it cannot be cancelled."""

    code = "job_finished"


class JobNotFinishedError(ConflictError):
    """The job waits or runs, so it cannot be tried again."""

    code = "job_not_finished"


class JobWaitsAlreadyError(ConflictError):
    """The same work waits in the same lane as another job."""

    code = "job_waits_already"


class RetryLaterError(UnavailableError):
    """Raised by a handler: the work cannot be done now.

    Args:
        delay_s: Seconds until the next run.
    """

    code = "retry_later"

    def __init__(self, detail: str, *, delay_s: float, hint: str | None = None) -> None:
        """Keep the texts and the delay."""
        super().__init__(detail, hint=hint)
        self.delay_s = delay_s
