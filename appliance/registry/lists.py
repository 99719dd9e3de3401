"""Manifest lists: put together from what the registry has by digest, written under the tag, and read back.

Nothing is believed: of every platform the manifest and its config are read from the registry, and the config must name the
platform. The tag is written last, so it never names a list that is wrong.
"""

import structlog

from appliance.core.images import PublishedPlatform
from appliance.registry.client import RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.index import (
    SINGLE,
    Member,
    config_digest,
    is_for,
    platform_of,
    put_together,
)
from appliance.registry.model import is_digest

log = structlog.get_logger("registry.push")


async def publish_list(
    client: RegistryClient,
    repository: str,
    tag: str,
    platforms: tuple[PublishedPlatform, ...],
) -> str:
    """Write what ``platforms`` are under ``tag`` and return its digest; done again, it comes to the same.

    One platform alone is written as it is: a list of one says nothing that its manifest does not.

    Args:
        repository: Without the host.

    Raises:
        RegistryError: The registry failed, or what it has is not what was pushed.
    """
    members = [await _member(client, repository, item) for item in platforms]
    whole = put_together(members) if len(members) > 1 else members[0].manifest
    await client.put_manifest(repository, tag, whole.body, whole.media_type)
    await _verify(client, repository, tag, whole.digest)
    for item in members:
        # Checked against its digest on the way.
        await client.manifest(repository, item.manifest.digest)
    log.info(
        "Manifest published with digest %s",
        whole.digest,
        registry_endpoint=client.host,
        repository=f"{client.host}/{repository}",
        tag=tag,
        architectures=[item.platform for item in members],
    )
    return whole.digest


async def _member(
    client: RegistryClient, repository: str, pushed: PublishedPlatform
) -> Member:
    """Return what the registry has of one platform, once it is sure that it is of that platform."""
    where = f"{client.host}/{repository}@{pushed.digest}"
    manifest = await client.manifest(repository, pushed.digest)
    if manifest.media_type not in SINGLE:
        raise RegistryError(
            ErrorKind.INVALID,
            f"{where} is of type {manifest.media_type[:80] or 'unknown'} and not one image.",
        )
    digest = config_digest(manifest)
    if not is_digest(digest):
        raise RegistryError(ErrorKind.INVALID, f"{where} names no config.")
    named = platform_of(await client.blob(repository, digest))
    if not is_for(pushed.platform, named):
        raise RegistryError(
            ErrorKind.INVALID,
            f"{where} is for {named[:80] or 'no platform'}, and was pushed as {pushed.platform}.",
            hint="Redeploy to build it anew; if it happens again, the builder cannot build for that platform.",
        )
    return Member(pushed.platform, manifest)


async def _verify(
    client: RegistryClient, repository: str, tag: str, digest: str
) -> None:
    found = await client.manifest(repository, tag)
    if found.digest != digest:
        raise RegistryError(
            ErrorKind.DIGEST_MISMATCH,
            f"{client.host}/{repository}:{tag} was written as {digest} and reads as {found.digest}.",
        )
