"""Job entry point: the evidence of one run."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appliance.core.clock import now
from appliance.core.errors import DomainError, UnavailableError
from appliance.evidence.service import EvidenceService
from appliance.jobs.model import Again, JobContext
from appliance.registry.errors import RegistryError

#: Seconds until a registry or an engine that is away is asked again, unless it says so itself.
RETRY_S = 60.0
#: Who is away for longer than this is waited for by people.
PATIENCE = timedelta(days=1)


class AttestTask:
    """Makes evidence as a job, beside the build and never in its way."""

    def __init__(self, evidence: EvidenceService) -> None:
        """Keep the service."""
        self._evidence = evidence

    async def __call__(
        self, context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Attest ``payload["run_id"]``; ask to be run again while something is away that it needs.

        Raises:
            DomainError: It cannot be done; the run's state says why.
        """
        try:
            await self._evidence.attest(int(payload["run_id"]))
        except DomainError as error:
            wait_s = seconds_to_retry(error)
            if wait_s is None or now() - context.job.created_at > PATIENCE:
                raise
            return Again(wait_s)
        return None


def seconds_to_retry(error: DomainError) -> float | None:
    """Return after how many seconds the same may go well; ``None``: it would fail again. Pure."""
    if isinstance(error, RegistryError):
        return (error.retry_after_s or RETRY_S) if error.is_transient else None
    return RETRY_S if isinstance(error, UnavailableError) else None
