"""How an image was made, as SLSA provenance v1. Pure.

What ``BUILD_TYPE`` means, field by field, is in ``docs/evidence.md``.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from appliance.evidence.model import Lock, Run, Subject
from appliance.evidence.purl import docker_purl, npm_purl, pypi_purl
from appliance.sources.model import (
    ArchiveSource,
    Ecosystem,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:mcp-host:image-build:v1"
BUILDER_PREFIX = "urn:mcp-host:installation:"

#: Hexadecimal digits of a git commit: SHA-1, SHA-256.
_COMMIT_LENGTHS = frozenset({40, 64})


def subjects_of(run: Run) -> tuple[Subject, ...]:
    """Return what the run made: the manifest list and each platform's manifest; without a registry, the local image ids."""
    if run.published is None:
        return tuple(
            Subject(f"{image.tag}#{image.platform}", image.image_id, is_local=True)
            for image in run.images
        )
    name = run.published.repository
    digests = [
        run.published.digest,
        *(item.digest for item in run.published.platforms),
    ]
    return tuple(Subject(name, digest) for digest in dict.fromkeys(digests))


def platform_subjects(run: Run, platform: str) -> tuple[Subject, ...]:
    """Return what holds one platform's files: its manifest, and the list that names it."""
    if run.published is None:
        return tuple(
            Subject(f"{image.tag}#{image.platform}", image.image_id, is_local=True)
            for image in run.images
            if image.platform == platform
        )
    name = run.published.repository
    own = [item.digest for item in run.published.platforms if item.platform == platform]
    digests = [*own, run.published.digest]
    return tuple(Subject(name, digest) for digest in dict.fromkeys(digests))


def predicate(
    run: Run,
    *,
    installation: str,
    version: str,
    base_digest: str,
    locks: Collection[Lock],
) -> dict[str, Any]:
    """Return the provenance of ``run``.

    Args:
        installation: Id of the appliance that built it.
        version: Of the appliance.
        base_digest: ``sha256:…`` of the base image; empty if there was none, or it is gone.
        locks: The lock files in its images.
    """
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "source": source_as_json(run.source),
                "platforms": [image.platform for image in run.images],
            },
            "internalParameters": _internal(run),
            "resolvedDependencies": _dependencies(run, base_digest, locks),
        },
        "runDetails": {
            "builder": {
                "id": f"{BUILDER_PREFIX}{installation}",
                "version": {"mcp-host": version},
            },
            "metadata": {
                "invocationId": f"build/{run.build_id}/attempt/{run.attempt}",
                "startedOn": moment(run.started_at),
                "finishedOn": moment(run.completed_at),
            },
        },
    }


def moment(at: datetime) -> str:
    """Return a time as RFC 3339 writes it in UTC, to the second.

    >>> moment(datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC))
    '2026-11-21T08:00:00Z'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def source_as_json(source: Source) -> dict[str, Any]:
    """Return what was asked for; nothing that lets anybody in."""
    match source:
        case PackageSource():
            return {
                "kind": source.kind,
                "ecosystem": source.ecosystem.value,
                "name": source.name,
                **({"version": source.version} if source.version else {}),
                **({"asOf": source.as_of.isoformat()} if source.as_of else {}),
            }
        case GitSource():
            return {
                "kind": source.kind,
                "url": without_credentials(source.url),
                **({"ref": source.branch} if source.branch else {}),
                **_subdirectory(source),
                **({"submodules": True} if source.submodules else {}),
                **({"lfs": True} if source.lfs else {}),
            }
        case ArchiveSource():
            return {
                "kind": source.kind,
                "digest": source.digest,
                "filename": source.filename,
                **_subdirectory(source),
            }
        case ImageSource():
            return {"kind": source.kind, "reference": source.reference}
        case RemoteSource():
            return {"kind": source.kind, "url": without_credentials(source.url)}


def _subdirectory(source: GitSource | ArchiveSource) -> dict[str, str]:
    return {"subdirectory": source.subdirectory} if source.subdirectory else {}


def without_credentials(url: str) -> str:
    """Return an address without the name and password that it may carry.

    >>> without_credentials("https://me:token@git.example.org/a/b.git?x=1")
    'https://git.example.org/a/b.git'
    """
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _internal(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"builder": run.builder}
    if run.dockerfile_sha256:
        found["dockerfile"] = {"sha256": run.dockerfile_sha256}
    if run.shortcomings:
        found["shortcomings"] = list(run.shortcomings)
    return found


def _dependencies(
    run: Run, base_digest: str, locks: Collection[Lock]
) -> Sequence[dict[str, Any]]:
    found = _resolved_source(run)
    if run.base_image:
        base: dict[str, Any] = {
            "name": "base image",
            "uri": docker_purl(run.base_image),
        }
        if base_digest:
            base["digest"] = _digest(base_digest)
        found.append(base)
    found += [
        {"name": f"lock file /{lock.path}", "digest": {"sha256": lock.sha256}}
        for lock in sorted(set(locks))
    ]
    return found


def _resolved_source(run: Run) -> list[dict[str, Any]]:
    match run.source:
        case GitSource() as git:
            ref = f"@{git.branch}" if git.branch else ""
            found: dict[str, Any] = {
                "name": "source",
                "uri": f"git+{without_credentials(git.url)}{ref}",
            }
            if len(run.revision) in _COMMIT_LENGTHS:
                found["digest"] = {"gitCommit": run.revision}
            return [found]
        case PackageSource() as package:
            make = npm_purl if package.ecosystem is Ecosystem.NPM else pypi_purl
            # "name[extra]" is how pip asks for it; the package is "name".
            name = package.name.partition("[")[0]
            version = run.revision or package.version or ""
            return [{"name": "source", "uri": make(name, version)}]
        case ArchiveSource() as archive:
            return [
                {
                    "name": f"source {archive.filename}",
                    "digest": _digest(archive.digest),
                }
            ]
        case ImageSource() as image:
            found = {"name": "source", "uri": docker_purl(image.reference)}
            if run.revision.startswith("sha256:"):
                found["digest"] = _digest(run.revision)
            return [found]
        case RemoteSource():
            return []


def _digest(text: str) -> dict[str, str]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}
