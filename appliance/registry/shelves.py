"""Looks at what a repository holds, as far as pruning must know it."""

import re
from collections.abc import Iterable, Sequence

from appliance.registry.client import RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.index import children
from appliance.registry.model import is_digest
from appliance.registry.prune import Shelf
from appliance.registry.publications import Publication

#: The tag under which attachments of a digest are listed where a registry has no referrers API; some tools add an ending.
_ATTACHED = re.compile(r"sha256-([0-9a-f]{64})(?:\.\w+)?")


async def look(
    client: RegistryClient, repository: str, publications: Sequence[Publication]
) -> Shelf:
    """Return what ``repository`` holds of ``publications``, of every tag, and of what is attached.

    Args:
        repository: Without the host.

    Raises:
        RegistryError: The registry did not tell; then nobody knows what may go.
    """
    return await _Look(client, repository).everything(publications)


class _Look:
    def __init__(self, client: RegistryClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._children: dict[str, frozenset[str]] = {}
        self._tags: dict[str, str] = {}
        self._referrers: dict[str, frozenset[str]] = {}
        #: A digest to the tags that list what is attached to it.
        self._attached: dict[str, list[str]] = {}
        self._has_api = True

    async def everything(self, publications: Sequence[Publication]) -> Shelf:
        for tag in await self._client.tags(self._repository):
            if match := _ATTACHED.fullmatch(tag):
                self._attached.setdefault(f"sha256:{match[1]}", []).append(tag)
            elif digest := await self._read(tag):
                self._tags[tag] = digest
        known = {digest for item in publications for digest in item.digests}
        for digest in sorted(known | set(self._tags.values())):
            await self._read(digest)
        await self._follow(known | set(self._children))
        return Shelf(self._children, self._tags, self._referrers)

    async def _follow(self, digests: Iterable[str]) -> None:
        """Find what is attached to ``digests``, to what they name, and to what is attached to that."""
        waiting, seen = list(digests), set[str]()
        while waiting:
            digest = waiting.pop()
            if digest in seen or not is_digest(digest):
                continue
            seen.add(digest)
            attached = await self._attachments(digest)
            if attached:
                self._referrers[digest] = attached
            waiting += [*attached, *self._children.get(digest, ())]

    async def _attachments(self, digest: str) -> frozenset[str]:
        found: set[str] = set()
        for tag in self._attached.get(digest, ()):
            if index := await self._read(tag):
                found |= {index, *self._children.get(index, ())}
        if self._has_api:
            listed = await self._client.referrers(self._repository, digest)
            self._has_api = listed is not None
            found |= {str(item.get("digest", "")) for item in listed or ()}
        return frozenset(item for item in found if is_digest(item))

    async def _read(self, reference: str) -> str:
        """Return the digest of a manifest and remember what it names; empty: it is not there."""
        if reference in self._children:
            return reference
        try:
            manifest = await self._client.manifest(self._repository, reference)
        except RegistryError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return ""
            raise
        self._children[manifest.digest] = children(manifest)
        return manifest.digest
