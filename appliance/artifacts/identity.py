"""By which digest a run is certified, promoted and told apart from every other. Pure but for the box's own platform."""

from appliance.artifacts.model import RunRecord
from appliance.core.digests import artifact_digest
from appliance.core.platforms import own_platform


def digest_of_run(run: RunRecord) -> str | None:
    """Return the digest of what a run made: of the manifest that was pushed, else of the image on this box.

    Returns:
        ``None``: it came to no image.
    """
    images = {item.platform: item.image_id for item in run.platforms}
    return artifact_digest(run.manifest_digest, images, own_platform())
