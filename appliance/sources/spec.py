"""From what a caller writes to a checked source, and back. Pure.

    {"package": "pypi:mcp-server-time==1.0"}   {"package": "npm:@scope/server@1.2"}
    {"repo_url": "https://…", "branch": "main", "subdirectory": "servers/one"}
    {"image": "ghcr.io/owner/name:tag"}
    {"remote_url": "https://example.org/mcp"}

What is stored has ``kind`` beside these, for whoever reads the table.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from appliance.core.errors import InvalidError
from appliance.sources.model import (
    Ecosystem,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)

#: The field that names each kind, and the fields that may stand beside it.
KINDS = {
    "package": frozenset[str](),
    "repo_url": frozenset({"branch", "subdirectory"}),
    "image": frozenset[str](),
    "remote_url": frozenset[str](),
}
MAX_LENGTH = 2048

_PYPI_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?(?:\[[A-Za-z0-9._,-]{1,128}\])?")
# PEP 440 without the forms that only exist for reading old packages.
_PYPI_VERSION = re.compile(r"(?:\d+!)?\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[A-Za-z0-9.]+)?")
_NPM_NAME = re.compile(r"(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*")  # a leading hyphen would be an option
# An exact version, a partial one (1.2), or a tag of the registry such as "next".
_NPM_VERSION = re.compile(r"\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?|[a-z][a-z0-9._-]{0,63}")
_MAX_NPM_NAME = 214

_SCP_LIKE = re.compile(r"(?P<user>[A-Za-z0-9_-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/\s:][^\s]*)")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]+")
# What git itself refuses in a reference, and a leading hyphen, which would read as an option.
_BAD_BRANCH = re.compile(r"^[-/]|\.\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|//|/$|\.lock$|\.$")
_SUBDIRECTORY = re.compile(r"[A-Za-z0-9_@+~.-]+(?:/[A-Za-z0-9_@+~.-]+)*")

_IMAGE = re.compile(
    r"(?P<name>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def parse_source(data: Mapping[str, Any]) -> Source:
    """Return the source that ``data`` describes; keys whose value is ``None`` or empty count as absent.

    Raises:
        InvalidError: Names the field (``source.package``) and what would be right.
    """
    given = {key: value for key, value in data.items() if value not in (None, "") and key != "kind"}
    for key, value in given.items():
        if not isinstance(value, str) or len(value) > MAX_LENGTH:
            raise InvalidError.field(f"source.{key}", f"give a text of at most {MAX_LENGTH} characters")
    kinds = [key for key in KINDS if key in given]
    if len(kinds) != 1:
        raise InvalidError.field("source", "give exactly one of package, repo_url, image and remote_url")
    kind = kinds[0]
    for key in given.keys() - {kind} - KINDS[kind]:
        raise InvalidError.field(f"source.{key}", f"does not go together with {kind}; leave it out")
    value = given[kind].strip()
    match kind:
        case "package":
            return parse_package(value)
        case "repo_url":
            return parse_git(value, given.get("branch"), given.get("subdirectory", ""))
        case "image":
            return parse_image(value)
        case _:
            return parse_remote(value)


from_dict = parse_source


def as_dict(source: Source) -> dict[str, str]:
    """Return ``source`` as it is stored and answered; ``parse_source`` reads it back."""
    match source:
        case PackageSource():
            return {"kind": source.kind, "package": package_text(source)}
        case GitSource():
            found = {"kind": source.kind, "repo_url": source.url, "branch": source.branch or "", "subdirectory": source.subdirectory}
            return {key: value for key, value in found.items() if value}
        case ImageSource():
            return {"kind": source.kind, "image": source.reference}
        case RemoteSource():
            return {"kind": source.kind, "remote_url": source.url}


def package_text(source: PackageSource) -> str:
    """Return the package as a person writes it: ``pypi:name==1.0``, ``npm:@scope/name@1.2``."""
    between = "==" if source.ecosystem is Ecosystem.PYPI else "@"
    return f"{source.ecosystem}:{source.name}" + (f"{between}{source.version}" if source.version else "")


def parse_package(text: str) -> PackageSource:
    """Return the package that ``pypi:name==1.0`` or ``npm:@scope/name@1.2`` names.

    Raises:
        InvalidError: It is neither; names ``source.package``.
    """
    ecosystem, _, rest = text.partition(":")
    match ecosystem.strip().lower():
        case "pypi":
            return _pypi(rest.strip())
        case "npm":
            return _npm(rest.strip())
        case _:
            raise InvalidError.field(
                "source.package",
                "say which registry it is in: pypi:name, pypi:name==1.0, npm:name or npm:@scope/name@1.2",
            )


def _pypi(text: str) -> PackageSource:
    name, separator, version = text.partition("==")
    if not separator:
        # People write name@1.0 as uvx does; PyPI names have no @, so it can mean nothing else.
        name, separator, version = text.partition("@")
    name, version = name.strip(), version.strip()
    if not _PYPI_NAME.fullmatch(name):
        raise InvalidError.field("source.package", f"{name!r} is not a PyPI package name, such as pypi:mcp-server-time")
    if separator and version != "latest" and not _PYPI_VERSION.fullmatch(version):
        raise InvalidError.field("source.package", f"{version!r} is not an exact version, such as pypi:{name}==1.2.3")
    return PackageSource(Ecosystem.PYPI, name, None if version in {"", "latest"} else version)


def _npm(text: str) -> PackageSource:
    # The first @ belongs to the scope.
    at = text.find("@", 1)
    name, version = (text, "") if at < 0 else (text[:at], text[at + 1 :])
    if not _NPM_NAME.fullmatch(name) or len(name) > _MAX_NPM_NAME:
        raise InvalidError.field(
            "source.package", f"{name!r} is not an npm package name, such as npm:@modelcontextprotocol/server-memory"
        )
    if at >= 0 and not _NPM_VERSION.fullmatch(version):
        raise InvalidError.field("source.package", f"{version!r} is not a version or tag, such as npm:{name}@1.2.3")
    return PackageSource(Ecosystem.NPM, name, None if version in {"", "latest"} else version)


def parse_git(url: str, branch: str | None = None, subdirectory: str = "") -> GitSource:
    """Return the repository; ``git@host:path`` is read as ssh.

    Raises:
        InvalidError: Names ``source.repo_url``, ``source.branch`` or ``source.subdirectory``.
    """
    scp = _SCP_LIKE.fullmatch(url)
    if scp:
        url = f"ssh://{scp['user']}@{scp['host']}/{scp['path']}"
    _check_url(url, field="source.repo_url", schemes=("https", "http", "ssh"), example="https://example.org/owner/repository.git")
    if branch is not None and (not branch or len(branch) > 255 or _BAD_BRANCH.search(branch)):  # noqa: PLR2004 - git's own limit is near
        raise InvalidError.field("source.branch", f"{branch!r} is not a branch or tag name, such as main or v1.2")
    subdirectory = subdirectory.strip("/")
    parts = subdirectory.split("/")
    if subdirectory and (not _SUBDIRECTORY.fullmatch(subdirectory) or {".", "..", ".git"} & set(parts)):
        raise InvalidError.field("source.subdirectory", "give a directory inside the repository, such as servers/one")
    return GitSource(url, branch, subdirectory)


def parse_image(text: str) -> ImageSource:
    """Return the image; without tag and digest it means ``latest``.

    Raises:
        InvalidError: It is not an image reference; names ``source.image``.
    """
    # An image that is only on this box may be named by its id.
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        return ImageSource(text)
    match = _IMAGE.fullmatch(text)
    if not match:
        raise InvalidError.field("source.image", f"{text!r} is not an image reference, such as ghcr.io/owner/name:tag")
    return ImageSource(text if match["tag"] or match["digest"] else f"{text}:latest")


def parse_remote(url: str) -> RemoteSource:
    """Return the remote server.

    Raises:
        InvalidError: It is not an http or https URL; names ``source.remote_url``.
    """
    parts = _check_url(url, field="source.remote_url", schemes=("https", "http"), example="https://example.org/mcp")
    return RemoteSource(urlunsplit(parts._replace(fragment="")))


def _check_url(url: str, *, field: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    def refuse(problem: str) -> InvalidError:
        return InvalidError.field(field, f"{problem}; give a URL such as {example}")

    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise refuse("has a blank, a backslash or a control character")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise refuse("is not a URL") from None
    if parts.scheme not in schemes:
        raise refuse(f"must begin with {', '.join(f'{scheme}://' for scheme in schemes)}")
    if not host or not _HOST.fullmatch(host) or host.startswith("-"):
        raise refuse("names no host")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        # It would be kept, shown and logged in clear.
        raise refuse("has a user name or password in it, which would be shown to everybody who sees the server")
    if parts.username and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", parts.username):
        raise refuse("has a strange user name")
    if parts.path.startswith("/-") or parts.path in {"", "/"} and parts.scheme == "ssh":
        raise refuse("names no path")
    return parts
