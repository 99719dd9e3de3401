"""Digests as registries and engines write them, and by which one a version is known. Pure."""

import hashlib
import re
from collections.abc import Mapping

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and the hash of ``content`` in hexadecimal."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def is_digest(text: str) -> bool:
    """Tell whether ``text`` is ``sha256:`` and 64 digits in lower case."""
    return _DIGEST.fullmatch(text) is not None


def artifact_digest(
    manifest_digest: str | None, image_ids: Mapping[str, str], platform: str
) -> str | None:
    """Return the digest by which an artifact is certified and promoted.

    Args:
        manifest_digest: Of what was pushed; ``None``: nothing was.
        image_ids: The engine's ids of its images, by platform; empty where it has none.
        platform: The box's own.

    Returns:
        The pushed manifest's, else the engine's id of the image that this box runs (of the only image, if it has just
        one); ``None``: it has neither.

    >>> artifact_digest(None, {"linux/amd64": "sha256:" + "a" * 64}, "linux/amd64")[:9]
    'sha256:aa'
    """
    only = next(iter(image_ids.values())) if len(image_ids) == 1 else ""
    found = manifest_digest or image_ids.get(platform) or only
    return found if found and is_digest(found) else None


def address_digest(url: str) -> str:
    """Return the digest that stands for a server that somebody else runs: that of its address.

    It says which server was looked at, and nothing of what runs there.
    """
    return digest_of(url.encode())
