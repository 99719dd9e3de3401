"""What can be wrong with a question about artifacts."""

from appliance.core.errors import NotFoundError


class ArtifactNotFoundError(NotFoundError):
    """There is no such artifact run, or the caller may not know of it."""

    code = "artifact_not_found"
