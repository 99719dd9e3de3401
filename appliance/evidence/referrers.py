"""The manifests by which a registry knows that a document speaks of an image. Pure.

An artifact manifest names the image as its ``subject``. Registries with the referrers API list such manifests by
themselves; for all others, clients keep an index under the tag ``sha256-<hex>``, as the OCI distribution specification has it.
"""

import json
from collections.abc import Mapping
from typing import Any

from appliance.core.digests import digest_of
from appliance.evidence.dsse import BUNDLE_TYPE, canonical
from appliance.evidence.model import Document
from appliance.evidence.provenance import moment
from appliance.registry.model import OCI_INDEX, OCI_MANIFEST

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"

Descriptor = dict[str, Any]


def fallback_tag(digest: str) -> str:
    """Return the tag under which referrers of ``digest`` are listed where the registry does not.

    >>> fallback_tag("sha256:" + "a" * 64)[:12]
    'sha256-aaaaa'
    """
    return digest.replace(":", "-", 1)


def descriptor(media_type: str, body: bytes) -> Descriptor:
    """Return how manifests name ``body``."""
    return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}


def artifact_manifest(subject: Descriptor, document: Document) -> bytes:
    """Return the manifest that ties a bundle to the image, as cosign writes it; the same every time."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": BUNDLE_TYPE,
            "config": descriptor(EMPTY_TYPE, EMPTY),
            "layers": [
                {
                    "mediaType": BUNDLE_TYPE,
                    "digest": document.digest,
                    "size": document.size_bytes,
                }
            ],
            "subject": subject,
            "annotations": annotations(document),
        }
    )


def annotations(document: Document) -> dict[str, str]:
    """Return what a list of referrers tells of a document, so that nobody need fetch it to know."""
    found = {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": document.predicate_type,
        "org.opencontainers.image.created": moment(document.created_at),
    }
    if document.platform:
        found["mcp-host.platform"] = document.platform
    return found


def listed(manifest: bytes, document: Document) -> Descriptor:
    """Return how an index of referrers names an artifact manifest."""
    return {
        **descriptor(OCI_MANIFEST, manifest),
        "artifactType": BUNDLE_TYPE,
        "annotations": annotations(document),
    }


def merged(index: bytes | None, ours: Mapping[str, Descriptor]) -> bytes | None:
    """Return the index with what is ours added to it; ``None``: it has all of it.

    What others wrote stays as they wrote it. An index that cannot be read is written anew: nobody could read it.

    Args:
        index: As the registry has it; ``None``: it has none.
        ours: Digest to descriptor.
    """
    there = _manifests(index)
    known = {str(item.get("digest")) for item in there}
    missing = [item for digest, item in sorted(ours.items()) if digest not in known]
    if not missing and index is not None:
        return None
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [*there, *missing],
        }
    )


def _manifests(index: bytes | None) -> list[Descriptor]:
    try:
        data = json.loads(index or b"{}")
    except ValueError:
        return []
    found = data.get("manifests") if isinstance(data, dict) else None
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, dict)]
