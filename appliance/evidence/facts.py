"""What the ledger and the build know of a run, as evidence speaks of it; runs inside ``database.run``."""

import hashlib
from collections.abc import Mapping
from typing import Any

from appliance.artifacts import store as ledger
from appliance.artifacts.model import Artifact, RunStatus
from appliance.builds import store as builds
from appliance.builds.model import BuildView
from appliance.core.images import PlatformImage, Published, PublishedPlatform
from appliance.evidence.errors import NothingToAttestError
from appliance.evidence.model import Run
from appliance.sources.spec import parse_source


def load(run_id: int, *, builder: str) -> Run:
    """Return one run.

    Args:
        builder: Name of the builder that this box uses.

    Raises:
        NothingToAttestError: There is no such run, or it made no image.
    """
    found = ledger.get(run_id)
    if found is None or found.run.status is not RunStatus.SUCCEEDED:
        raise NothingToAttestError(f"The run {run_id} made no image.")
    images = tuple(
        PlatformImage(item.platform, item.image_id, found.run.local_image)
        for item in found.run.platforms
        if item.image_id
    )
    if not images:
        raise NothingToAttestError(f"The run {run_id} made no image.")
    return _run(found, images, _recipe(found), builder)


def _run(
    found: Artifact,
    images: tuple[PlatformImage, ...],
    recipe: BuildView | None,
    builder: str,
) -> Run:
    run = found.run
    text = recipe.dockerfile if recipe else ""
    return Run(
        id=found.id,
        build_id=run.build_id,
        attempt=run.attempt,
        server_id=run.server_id,
        server_name=run.server_name,
        source=parse_source(run.source),
        revision=revision_of(run.source_revision, recipe.resolved if recipe else {}),
        local_image=run.local_image,
        images=images,
        published=_published(found),
        started_at=run.started_at,
        completed_at=run.completed_at,
        base_image=(recipe.base_image if recipe else None) or "",
        dockerfile_sha256=hashlib.sha256(text.encode()).hexdigest() if text else "",
        builder=builder,
        shortcomings=run.shortcomings,
    )


def revision_of(recorded: str, resolved: Mapping[str, Any]) -> str:
    """Return what of a source was taken: what the ledger has, else what the build resolved. Pure."""
    told = [resolved.get(name) for name in ("revision", "version", "digest")]
    return recorded or next(
        (item for item in told if item and isinstance(item, str)), ""
    )


def _recipe(found: Artifact) -> BuildView | None:
    """Return the build with its Dockerfile, unless a later attempt has put another in its place."""
    view = builds.of_deployment(found.run.deployment_id)
    if view is None or view.id != found.run.build_id:
        return None
    return view if view.attempt == found.run.attempt else None


def _published(found: Artifact) -> Published | None:
    run = found.run
    if not run.registry_image or not run.manifest_digest:
        return None
    return Published(
        run.registry_image,
        run.manifest_tag,
        run.manifest_digest,
        is_multi_arch=run.is_multi_arch,
        platforms=tuple(
            PublishedPlatform(item.platform, item.image_reference, item.digest)
            for item in run.platforms
            if item.digest
        ),
    )
