"""Job entry point: the evidence of one run."""

from collections.abc import Mapping
from typing import Any

from appliance.evidence.service import EvidenceService
from appliance.jobs.errors import RetryLaterError
from appliance.jobs.model import Again, JobContext
from appliance.registry.errors import RegistryError

#: Seconds before a registry that failed for the moment is asked again, unless it says so itself.
REGISTRY_RETRY_S = 15.0


class AttestTask:
    """Makes evidence as a job, beside the build and never in its way."""

    def __init__(self, evidence: EvidenceService) -> None:
        """Keep the service."""
        self._evidence = evidence

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Attest ``payload["run_id"]``.

        Raises:
            RetryLaterError: The registry failed in a way that may pass.
            DomainError: It cannot be done; the run's state says why.
        """
        try:
            await self._evidence.attest(int(payload["run_id"]))
        except RegistryError as error:
            if not error.is_transient:
                raise
            raise RetryLaterError(
                error.detail,
                delay_s=error.retry_after_s or REGISTRY_RETRY_S,
                hint=error.hint,
            ) from error
        return None
