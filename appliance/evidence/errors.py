"""What can go wrong with evidence."""

from appliance.core.errors import ConflictError, InvalidError, NotFoundError


class NoEvidenceError(NotFoundError):
    """There is no such document of this artifact."""

    code = "no_evidence"


class AmbiguousEvidenceError(InvalidError):
    """There is one for each platform, and none was named."""

    code = "evidence_platform_missing"


class ImageGoneError(ConflictError):
    """The image is no longer on this box, so nobody can look into it."""

    code = "evidence_image_gone"


class UnreadableImageError(ConflictError):
    """The image's file system cannot be read within its limits."""

    code = "evidence_image_unreadable"


class NothingToAttestError(ConflictError):
    """The run made no image."""

    code = "evidence_nothing_built"


class OtherRegistryError(ConflictError):
    """The image is in a registry that this box does not use any more."""

    code = "evidence_other_registry"
