"""What can go wrong when instances are run."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import FailedError, UnavailableError
from appliance.infra.errors import EngineUnavailableError
from appliance.runtimes.volume_model import Refusal

__all__ = [
    "BoxFullError",
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


class BoxFullError(UnavailableError):
    """There is no room on the box to start an instance; it can be started when there is."""

    code = "box_full"


def no_room(said: str) -> BoxFullError | None:
    """Return the error if what a program or the engine said means that a disk is full; else ``None``."""
    if "no space left on device" not in said.lower():
        return None
    return BoxFullError(
        f"A disk of this box is full: {said[-200:]}",
        hint="Make room (/readyz names the disk); it starts again by itself.",
    )


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
