"""Images of a few hundred bytes, written into a registry over its API: enough for whoever reads manifests and not layers."""

import json
from dataclasses import dataclass

from appliance.core.digests import digest_of
from appliance.core.images import PublishedPlatform
from appliance.registry.client import RegistryClient
from appliance.registry.index import split_platform
from appliance.registry.model import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

_CONFIGS = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
_LAYERS = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
REFERRER = "application/vnd.test.evidence+json"


@dataclass
class Shelf:
    """One repository to put images into."""

    client: RegistryClient
    repository: str

    async def image(
        self,
        platform: str,
        content: str = "",
        *,
        media_type: str = OCI_MANIFEST,
        claims: str = "",
    ) -> PublishedPlatform:
        """Push an image by digest.

        Args:
            content: Tells it from others of the same platform.
            claims: The platform that its config names, if it lies.
        """
        system, architecture, variant = split_platform(claims or platform)
        config = {
            "architecture": architecture,
            "os": system,
            **({"variant": variant} if variant else {}),
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        layer = f"layer {platform} {content}".encode()
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": await self._blob(
                    json.dumps(config).encode(), _CONFIGS[media_type]
                ),
                "layers": [await self._blob(layer, _LAYERS[media_type])],
            }
        ).encode()
        digest = digest_of(body)
        await self.client.put_manifest(self.repository, digest, body, media_type)
        where = f"{self.client.host}/{self.repository}@{digest}"
        return PublishedPlatform(platform, where, digest)

    async def referrer(self, subject: str, content: str = "") -> str:
        """Attach something to a digest by the tag scheme, and return the digest of what was attached."""
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": REFERRER,
                "config": await self._blob(b"{}", "application/vnd.oci.empty.v1+json"),
                "layers": [
                    await self._blob(f"of {subject} {content}".encode(), REFERRER)
                ],
                "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1},
            }
        ).encode()
        digest = digest_of(body)
        await self.client.put_manifest(self.repository, digest, body, OCI_MANIFEST)
        described = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(body)}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described]}
        tag = subject.replace(":", "-")
        await self.client.put_manifest(
            self.repository, tag, json.dumps(index).encode(), OCI_INDEX
        )
        return digest

    async def _blob(self, data: bytes, media_type: str) -> dict[str, object]:
        digest = await self.client.put_blob(self.repository, data)
        return {"mediaType": media_type, "size": len(data), "digest": digest}
