"""What can go wrong when instances are run."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import FailedError
from appliance.infra.errors import EngineUnavailableError
from appliance.runtimes.volume_model import Refusal

__all__ = [
    "EngineUnavailableError",
    "ImageMissingError",
    "StartFailedError",
    "VolumeRefusedError",
]


class ImageMissingError(FailedError):
    """The image is not on this box and could not be pulled."""

    code = "image_missing"


class StartFailedError(FailedError):
    """The engine refused to create or start the instance."""

    code = "start_failed"


class VolumeRefusedError(FailedError):
    """What was asked of a volume cannot be done; whoever asked knows what was meant, and says so in words.

    Args:
        refusal: Why.
        facts: What else there is to say: ``free`` bytes, the ``sha256`` that a file has, the kernel's ``words``.
    """

    code = "volume_refused"

    def __init__(self, refusal: Refusal, facts: Mapping[str, Any]) -> None:
        """Keep both."""
        super().__init__(f"The volume refused: {refusal.value}.")
        self.refusal = refusal
        self.facts = facts
