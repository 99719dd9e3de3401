"""Putting documents beside an image in its registry."""

import asyncio
import random
from collections.abc import Callable, Sequence

import structlog

from appliance.core.images import Published
from appliance.evidence import referrers
from appliance.evidence.errors import OtherRegistryError
from appliance.evidence.model import Document, Referrer
from appliance.evidence.referrers import Descriptor
from appliance.registry.client import RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import OCI_INDEX, OCI_MANIFEST

log = structlog.get_logger("evidence.attaching")

#: Times that an index is written before others are taken to be too quick.
INDEX_TRIES = 8
#: Seconds after which an index that was written is looked at once more.
INDEX_PAUSE_S = 0.2


class Attacher:
    """Attaches documents as OCI referrers; done again, it changes nothing.

    Args:
        client: Gives what speaks to this box's registry.
    """

    def __init__(self, client: Callable[[], RegistryClient]) -> None:
        """Keep the way to the registry; nothing is asked yet."""
        self._client = client
        # Within this process, two that write one index take turns.
        self._writing = asyncio.Lock()

    async def attach(
        self, published: Published, documents: Sequence[tuple[Document, bytes]]
    ) -> tuple[Referrer, ...]:
        """Put every document beside the manifests that it speaks of.

        Args:
            documents: Each with its bundle.

        Raises:
            OtherRegistryError: The image is in another registry than this box uses now.
            RegistryError: The registry did not take it.
        """
        host, _, repository = published.repository.partition("/")
        client = self._client()
        if client.host != host:
            raise OtherRegistryError(
                f"The image is in the registry {host}, and REGISTRY names {client.host} now.",
                hint="Redeploy the server to have its image there, too.",
            )
        await client.put_blob(repository, referrers.EMPTY)
        for _, bundle in documents:
            await client.put_blob(repository, bundle)
        subjects = dict.fromkeys(
            subject.digest for document, _ in documents for subject in document.subjects
        )
        found: list[Referrer] = []
        for subject in subjects:
            speaking = [
                document
                for document, _ in documents
                if subject in {item.digest for item in document.subjects}
            ]
            found += await self._attach(client, repository, subject, speaking)
        return tuple(found)

    async def _attach(
        self,
        client: RegistryClient,
        repository: str,
        subject: str,
        documents: Sequence[Document],
    ) -> list[Referrer]:
        """Attach ``documents`` to one manifest."""
        image = await client.manifest(repository, subject)
        named = referrers.descriptor(image.media_type, image.body)
        ours: dict[str, Descriptor] = {}
        written: list[tuple[str, Document]] = []
        for document in documents:
            body = referrers.artifact_manifest(named, document)
            item = referrers.listed(body, document)
            digest: str = item["digest"]
            await client.put_manifest(repository, digest, body, OCI_MANIFEST)
            ours[digest] = item
            written.append((digest, document))
        how = "api"
        if not await _are_listed(client, repository, subject, set(ours)):
            await self._list(client, repository, subject, ours)
            how = "tag"
        return [
            Referrer(subject, digest, document.kind, document.platform, how)
            for digest, document in written
        ]

    async def _list(
        self,
        client: RegistryClient,
        repository: str,
        subject: str,
        ours: dict[str, Descriptor],
    ) -> None:
        """Add what is ours to the index under the tag.

        A registry cannot write "only if unchanged", so whoever writes looks again a moment later whether somebody who had
        read the same index has written over it.
        """
        tag = referrers.fallback_tag(subject)
        problem: RegistryError | None = None
        async with self._writing:
            for _ in range(INDEX_TRIES):
                try:
                    body = referrers.merged(await _index(client, repository, tag), ours)
                    if body is None:
                        return
                    await client.put_manifest(repository, tag, body, OCI_INDEX)
                except RegistryError as error:
                    # docker-registry answers 500 to whoever reads a tag while another writes it.
                    if not error.is_transient:
                        raise
                    problem = error
                await asyncio.sleep(INDEX_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreads, guards nothing
        raise problem or RegistryError(
            ErrorKind.SERVER_ERROR,
            f"The index {tag} in {client.host}/{repository} was written over by others {INDEX_TRIES} times.",
        )


async def _are_listed(
    client: RegistryClient, repository: str, subject: str, digests: set[str]
) -> bool:
    """Tell whether the registry itself lists these as referrers."""
    found = await client.referrers(repository, subject)
    return found is not None and digests <= {str(item.get("digest")) for item in found}


async def _index(client: RegistryClient, repository: str, tag: str) -> bytes | None:
    try:
        return (await client.manifest(repository, tag)).body
    except RegistryError as error:
        if error.kind is ErrorKind.NOT_FOUND:
            return None
        raise
