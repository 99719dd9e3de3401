"""What a manifest list is, byte for byte. Pure: the same members give the same bytes, and so the same digest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.core.digests import digest_of
from appliance.registry.model import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
)

#: What is one image, and not a list of some.
SINGLE = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
LISTS = frozenset({OCI_INDEX, DOCKER_LIST})
#: The variant that an architecture has where nobody names one.
_USUAL_VARIANT = {"arm64": "v8"}


@dataclass(frozen=True)
class Member:
    """One platform's manifest, as the registry has it."""

    #: As buildx has it: ``linux/arm64``.
    platform: str
    manifest: Manifest


def put_together(members: Sequence[Member]) -> Manifest:
    """Return the list of ``members``: Docker's kind if all of them are, else an OCI index."""
    is_docker = all(item.manifest.media_type == DOCKER_MANIFEST for item in members)
    media_type = DOCKER_LIST if is_docker else OCI_INDEX
    ordered = sorted(members, key=lambda item: item.platform)
    whole = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [_descriptor(item) for item in ordered],
    }
    body = json.dumps(whole, separators=(",", ":")).encode()
    return Manifest(body, media_type, digest_of(body))


def _descriptor(member: Member) -> dict[str, Any]:
    system, architecture, variant = split_platform(member.platform)
    platform = {"architecture": architecture, "os": system}
    return {
        "mediaType": member.manifest.media_type,
        "size": len(member.manifest.body),
        "digest": member.manifest.digest,
        "platform": platform | ({"variant": variant} if variant else {}),
    }


def split_platform(platform: str) -> tuple[str, str, str]:
    """Return system, architecture and variant, which may be empty.

    >>> split_platform("linux/arm/v7")
    ('linux', 'arm', 'v7')
    """
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    return system, architecture, variant


def platform_of(config: bytes) -> str:
    """Return the platform that an image's config names; empty: it names none."""
    try:
        said = json.loads(config)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    parts = [said.get(name) for name in ("os", "architecture", "variant")]
    words = [part for part in parts if isinstance(part, str) and part]
    return "/".join(words)


def is_for(platform: str, named: str) -> bool:
    """Tell whether an image whose config names ``named`` is for ``platform``.

    >>> is_for("linux/arm64", "linux/arm64/v8"), is_for("linux/arm/v7", "linux/arm/v6")
    (True, False)
    """
    return _usual(platform) == _usual(named)


def _usual(platform: str) -> tuple[str, str, str]:
    system, architecture, variant = split_platform(platform)
    return system, architecture, variant or _USUAL_VARIANT.get(architecture, "")


def children(manifest: Manifest) -> frozenset[str]:
    """Return the digests of the manifests that a list names; none for a single image."""
    if manifest.media_type not in LISTS:
        return frozenset()
    try:
        listed = json.loads(manifest.body).get("manifests", [])
        return frozenset(str(item["digest"]) for item in listed)
    except (ValueError, AttributeError, TypeError, KeyError):
        return frozenset()


def config_digest(manifest: Manifest) -> str:
    """Return the digest of an image's config; empty: it names none."""
    try:
        found = json.loads(manifest.body)["config"]["digest"]
    except (ValueError, TypeError, KeyError):
        return ""
    return found if isinstance(found, str) else ""
