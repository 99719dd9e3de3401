"""From a finished build to what the ledger keeps of it. Pure."""

from dataclasses import replace
from typing import Any

from appliance.artifacts.model import (
    ArtifactPlatform,
    RunRecord,
    RunStatus,
    ServerFacts,
)
from appliance.builds.ports import FinishedRun
from appliance.core.images import CredentialOutcome, PublishedPlatform
from appliance.sources.model import ImageSource, PackageSource, Source
from appliance.sources.spec import KINDS, parse_source
from appliance.sources.spec import as_dict as source_as_dict

#: Of an error; the build's log has the rest.
MAX_ERROR = 4000


def record_of(
    run: FinishedRun, server: ServerFacts | None, targets: tuple[str, ...]
) -> RunRecord:
    """Return the row of a build that ended.

    Args:
        server: ``None``: it is gone.
        targets: Platforms that are wanted on this box.
    """
    source: dict[str, Any] = dict(source_as_dict(run.source))
    published = run.published
    credentials = published.credentials if published else None
    return RunRecord(
        build_id=run.build_id,
        attempt=run.attempt,
        deployment_id=run.deployment_id,
        server_id=run.server_id,
        server_name=run.server_name,
        server_type=server.server_type if server else default_type(run.source),
        owner_id=server.owner_id if server else None,
        source={
            name: _text(value) if isinstance(value, str) else value
            for name, value in source.items()
        },
        source_kind=run.source.kind,
        source_repo=_text(_origin(source)),
        source_branch=_text(str(source.get("branch") or "")),
        source_revision=_text(run.revision),
        local_image=run.local_image,
        registry_image=published.repository if published else "",
        manifest_tag=published.tag if published else "",
        manifest_digest=published.digest if published else None,
        is_multi_arch=published.is_multi_arch if published else len(run.images) > 1,
        targets=targets,
        auth_refresh_attempted=bool(credentials and credentials.refresh_attempted),
        auth_refresh_succeeded=bool(credentials and credentials.refresh_succeeded),
        auth_rotation_attempted=bool(credentials and credentials.rotation_attempted),
        auth_rotation_succeeded=bool(credentials and credentials.rotation_succeeded),
        credential_health_status=credentials.health_status if credentials else "",
        shortcomings=tuple(_text(item) for item in run.shortcomings),
        status=RunStatus(run.status.value),
        error=_text(run.error)[:MAX_ERROR],
        started_at=run.started_at,
        completed_at=run.completed_at,
        platforms=_platforms(run),
    )


def _origin(source: dict[str, Any]) -> str:
    """Return where it comes from in one word; an archive's digest is its revision, so its name says more."""
    named = source.get("archive_name")
    return str(named or next((source[name] for name in KINDS if name in source), ""))


def _platforms(run: FinishedRun) -> tuple[ArtifactPlatform, ...]:
    local = {image.platform: image.image_id for image in run.images}
    pushed = (
        {item.platform: item for item in run.published.platforms}
        if run.published
        else {}
    )
    return tuple(
        _platform(name, local.get(name, ""), pushed.get(name))
        for name in sorted(local.keys() | pushed.keys())
    )


def _platform(
    name: str, image_id: str, pushed: PublishedPlatform | None
) -> ArtifactPlatform:
    if pushed is None:
        return ArtifactPlatform(name, image_id, "", None)
    found: CredentialOutcome = pushed.credentials
    return ArtifactPlatform(
        platform=name,
        image_id=image_id,
        image_reference=pushed.reference,
        digest=pushed.digest,
        auth_refresh_attempted=found.refresh_attempted,
        auth_refresh_succeeded=found.refresh_succeeded,
        auth_rotation_attempted=found.rotation_attempted,
        auth_rotation_succeeded=found.rotation_succeeded,
        credential_health_status=found.health_status,
    )


def _text(value: str) -> str:
    """Return ``value`` as Postgres can keep it and gives it back: output of builds may hold anything."""
    return value.replace("\0", "�").encode("utf-8", "replace").decode()


def default_type(source: Source) -> str:
    """Return what kind of server it is where nobody said: ``npm``, ``pypi``, ``git``, ``image``, …."""
    return source.ecosystem.value if isinstance(source, PackageSource) else source.kind


def pinned_source(run: RunRecord) -> Source:
    """Return the run's source with the version or digest that was built.

    A repository's branch is taken as it is by then: not every git server hands out a commit by itself.
    """
    source = parse_source(run.source)
    revision = run.source_revision
    if isinstance(source, PackageSource) and revision:
        return replace(source, version=revision)
    # What was never in a registry has only the engine's own id.
    is_known = any(item.image_id == revision for item in run.platforms)
    if (
        isinstance(source, ImageSource)
        and revision.startswith("sha256:")
        and not is_known
        and "sha256:" not in source.reference
    ):
        return ImageSource(f"{source.reference}@{revision}")
    return source


def search_text(run: RunRecord) -> str:
    """Return all that a search looks at, in lower case, a line for each.

    What another line holds already is left out: an image's reference holds its digest, and the tagged one its repository.
    """
    tagged = f"{run.registry_image}:{run.manifest_tag}" if run.registry_image else ""
    found = [
        run.server_name,
        run.server_type,
        run.source_repo,
        run.source_branch,
        run.source_revision,
        run.local_image,
        tagged,
        run.manifest_digest or "",
    ]
    for item in run.platforms:
        # Of a search word, what stands before an @ and what stands behind it are looked for by themselves.
        reference = item.image_reference.removeprefix(f"{run.registry_image}@")
        found += [item.platform, reference]
    return "\n".join(dict.fromkeys(text for text in found if text)).lower()
