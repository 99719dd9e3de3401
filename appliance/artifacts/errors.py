"""What the product refuses about artifacts."""

from appliance.core.errors import ConflictError, NotFoundError


class ArtifactNotFoundError(NotFoundError):
    """There is no such artifact run, or the caller may not know of it."""

    code = "artifact_not_found"


class NothingBuiltError(ConflictError):
    """The run came to no image, so there is nothing to host."""

    code = "nothing_built"
