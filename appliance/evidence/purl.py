"""Package URLs, by which tools that look for known weaknesses recognise a package. Pure."""

import re
from urllib.parse import quote

#: What needs no escape in a part of a package URL.
_SAFE = ".-_~:"


def pypi_purl(name: str, version: str) -> str:
    """Return the package URL of a Python distribution.

    >>> pypi_purl("Typing_Extensions", "4.16.0")
    'pkg:pypi/typing-extensions@4.16.0'
    """
    return _purl("pypi", "", re.sub(r"[-_.]+", "-", name).lower(), version)


def npm_purl(name: str, version: str) -> str:
    """Return the package URL of an npm package.

    >>> npm_purl("@scope/server", "1.2.3")
    'pkg:npm/%40scope/server@1.2.3'
    """
    scope, _, short = name.rpartition("/")
    return _purl("npm", scope, short, version)


def system_purl(
    kind: str, distribution: str, name: str, version: str, **qualifiers: str
) -> str:
    """Return the package URL of a distribution's package.

    >>> system_purl("deb", "debian", "libc6", "2.41-12+b1", arch="amd64")
    'pkg:deb/debian/libc6@2.41-12%2Bb1?arch=amd64'
    """
    return _purl(kind, distribution, name.lower(), version, **qualifiers)


def image_purl(repository: str, digest: str) -> str:
    """Return the package URL of an image.

    >>> image_purl("reg.example.org/team/time", "sha256:ab")
    'pkg:oci/time@sha256:ab?repository_url=reg.example.org/team/time'
    """
    name = repository.rpartition("/")[2].lower()
    return _purl("oci", "", name, digest, repository_url=repository.lower())


def docker_purl(reference: str) -> str:
    """Return the package URL of an image that is named as engines name it.

    >>> docker_purl("reg.example.org:5000/team/base:1.0")
    'pkg:docker/team/base@1.0?repository_url=reg.example.org:5000'
    >>> docker_purl("alpine@sha256:ab")
    'pkg:docker/alpine@sha256:ab'
    """
    name, _, digest = reference.partition("@")
    host, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in host or ":" in host or host == "localhost")
    path = rest if is_host else name
    before, _, last = path.rpartition("/")
    short, _, tag = last.partition(":")
    return _purl(
        "docker", before, short, digest or tag, repository_url=host if is_host else ""
    )


def _purl(kind: str, namespace: str, name: str, version: str, **qualifiers: str) -> str:
    # A namespace may have several parts, whose slashes stay.
    parts = [kind, quote(namespace, safe=_SAFE + "/"), quote(name, safe=_SAFE)]
    parts = [part for part in parts if part]
    text = "pkg:" + "/".join(parts)
    if version:
        text += f"@{quote(version, safe=_SAFE)}"
    given = sorted((key, value) for key, value in qualifiers.items() if value)
    if given:
        text += "?" + "&".join(
            f"{key}={quote(value, safe=_SAFE + '/')}" for key, value in given
        )
    return text
