"""Making the documents of a run: looking, writing down, signing."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from appliance.core.images import PlatformImage
from appliance.evidence import cyclonedx, dsse, provenance
from appliance.evidence.image_files import ImageFiles
from appliance.evidence.keys import SigningKeys
from appliance.evidence.model import Kind, Lock, NewDocument, Run, Subject

#: Who looked into the image.
MADE_BY = "mcp-host"


class Maker:
    """Makes signed documents.

    Args:
        installation: Id of this appliance.
        version: Of this appliance.
    """

    def __init__(
        self, files: ImageFiles, keys: SigningKeys, *, installation: str, version: str
    ) -> None:
        """Keep the parts."""
        self._files = files
        self._keys = keys
        self._installation = installation
        self._version = version

    async def bill(self, run: Run, image: PlatformImage) -> NewDocument:
        """Return the bill of materials of one platform's image.

        Raises:
            ImageGoneError: The image is not on this box any more.
            UnreadableImageError: Its files cannot be read within the limits.
            EngineUnavailableError: The engine does not answer.
        """
        found = await self._files.inventory(image.image_id, run_id=run.id)
        subjects = provenance.platform_subjects(run, image.platform)
        described = cyclonedx.Described(
            subject=subjects[0],
            platform=image.platform,
            image_id=image.image_id,
            at=run.completed_at,
            version=self._version,
        )
        predicate = await asyncio.to_thread(cyclonedx.bill, described, found)
        return await self._signed(
            Kind.SBOM,
            predicate,
            predicate_type=cyclonedx.PREDICATE_TYPE,
            subjects=subjects,
            platform=image.platform,
        )

    async def provenance(self, run: Run, locks: Collection[Lock]) -> NewDocument:
        """Return how the run's images were made.

        Args:
            locks: The lock files that were found in them.

        Raises:
            EngineUnavailableError: The engine does not answer.
        """
        base = await self._files.digest(run.base_image) if run.base_image else ""
        predicate = provenance.predicate(
            run,
            installation=self._installation,
            version=self._version,
            base_digest=base,
            locks=locks,
        )
        return await self._signed(
            Kind.PROVENANCE,
            predicate,
            predicate_type=provenance.PREDICATE_TYPE,
            subjects=provenance.subjects_of(run),
        )

    async def _signed(
        self,
        kind: Kind,
        predicate: Mapping[str, Any],
        *,
        predicate_type: str,
        subjects: Sequence[Subject],
        platform: str = "",
    ) -> NewDocument:
        signer = await self._keys.signer()

        def write() -> bytes:
            payload = dsse.statement(
                subjects, predicate_type=predicate_type, predicate=predicate
            )
            return dsse.bundle(payload, key_id=signer.key_id, sign=signer.sign)

        return NewDocument(
            kind=kind,
            platform=platform,
            predicate_type=predicate_type,
            subjects=tuple(subjects),
            bundle=await asyncio.to_thread(write),
            key_id=signer.key_id,
            made_by=MADE_BY,
        )
