"""What can go wrong when instances are run."""

from appliance.core.errors import FailedError
from appliance.infra.errors import EngineUnavailableError

__all__ = ["EngineUnavailableError", "ImageMissingError", "StartFailedError"]


class ImageMissingError(FailedError):
    """The image is not on this box and could not be pulled."""

    code = "image_missing"


class StartFailedError(FailedError):
    """The engine refused to create or start the instance."""

    code = "start_failed"
