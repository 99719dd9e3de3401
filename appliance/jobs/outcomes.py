"""What becomes of a job after a run. Pure."""

from dataclasses import dataclass

from appliance.core.errors import DomainError, UnavailableError
from appliance.jobs.errors import RetryLaterError
from appliance.observability.redaction import redact_text

#: Seconds before the second run; every further one waits twice as long.
FIRST_RETRY_S = 1.0
#: The longest wait, in seconds.
LONGEST_RETRY_S = 300.0
#: Characters of an error that are kept.
LONGEST_ERROR = 4000


@dataclass(frozen=True)
class Succeeded:
    """The work is done."""


@dataclass(frozen=True)
class RunAgain:
    """The work went well and is due again."""

    after_s: float


@dataclass(frozen=True)
class Retry:
    """The run failed; another may not."""

    after_s: float
    error: str


@dataclass(frozen=True)
class Failed:
    """The run failed for good."""

    error: str


@dataclass(frozen=True)
class Cancelled:
    """Somebody asked for the end of it."""


@dataclass(frozen=True)
class Released:
    """The worker stops; another takes the job as if this run had not been."""


Outcome = Succeeded | RunAgain | Retry | Failed | Cancelled | Released


def after_error(
    error: Exception, *, attempt: int, max_attempts: int, spread: float
) -> Retry | Failed:
    """Return what follows from a run that raised ``error``.

    Args:
        attempt: The number of the run, from 1.
        spread: Between 0 and 1, at random, so that jobs that failed together do not come back together.
    """
    text = _text(error)
    if isinstance(error, DomainError) and not isinstance(error, UnavailableError):
        return Failed(text)  # the same input would fail the same way
    if attempt >= max_attempts:
        return Failed(text)
    if isinstance(error, RetryLaterError):
        return Retry(error.delay_s, text)
    return Retry(backoff_s(attempt, spread), text)


def backoff_s(attempt: int, spread: float) -> float:
    """Return the seconds to wait after run number ``attempt``: between half and all of 1, 2, 4, … 300."""
    # The exponent is bounded, or a job with many attempts would overflow a float.
    whole = min(FIRST_RETRY_S * 2.0 ** min(attempt - 1, 30), LONGEST_RETRY_S)
    return whole * (0.5 + spread / 2)


def _text(error: Exception) -> str:
    # A fault of ours is told with its kind, which helps whoever reads the page to find it in the log.
    kind = type(error).__name__
    text = error.reason if isinstance(error, DomainError) else f"{kind}: {error}"
    # Postgres stores no NUL.
    return redact_text(text).replace("\0", "")[:LONGEST_ERROR]
