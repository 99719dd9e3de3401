"""From what a caller writes to a checked source, and back. Pure.

    {"package": "pypi:mcp-server-time==1.0"}   {"package": "npm:@scope/server@1.2", "as_of": "2025-05-01"}
    {"repo_url": "https://…", "branch": "main", "subdirectory": "servers/one", "submodules": true, "lfs": true}
    {"archive": "sha256:…", "archive_name": "server.tar.gz", "subdirectory": "server"}
    {"image": "ghcr.io/owner/name:tag"}
    {"remote_url": "https://example.org/mcp"}

What is stored has ``kind`` beside these, for whoever reads the table.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlunsplit

from appliance.core.errors import InvalidError
from appliance.sources.model import (
    ArchiveSource,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)
from appliance.sources.packages import package_text, parse_package
from appliance.sources.urls import checked_url

#: The field that names each kind, and the fields that may stand beside it.
KINDS = {
    "package": frozenset({"as_of"}),
    "repo_url": frozenset({"branch", "subdirectory", "submodules", "lfs"}),
    "archive": frozenset({"archive_name", "subdirectory"}),
    "image": frozenset[str](),
    "remote_url": frozenset[str](),
}
#: Fields that are true or false; false is the same as absent.
FLAGS = frozenset({"submodules", "lfs"})
MAX_LENGTH = 2048
MAX_BRANCH = 255


_SCP_LIKE = re.compile(
    r"(?P<user>[A-Za-z0-9_-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/\s:][^\s]*)"
)
# What git itself refuses in a reference, and a leading hyphen, which would read as an
# option.
_BAD_BRANCH = re.compile(r"^[-/]|\.\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|//|/$|\.lock$|\.$")
_SUBDIRECTORY = re.compile(r"[A-Za-z0-9_@+~.-]+(?:/[A-Za-z0-9_@+~.-]+)*")

_ARCHIVE = re.compile(r"sha256:[0-9a-f]{64}")
_STRANGE_LETTERS = re.compile(r"[^A-Za-z0-9._+-]+")
MAX_FILENAME = 128

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
    given = {
        key: value
        for key, value in data.items()
        if value not in (None, "") and key != "kind"
    }
    for key, value in given.items():
        _check_type(key, value)
    given = {key: value for key, value in given.items() if value is not False}
    kinds = [key for key in KINDS if key in given]
    if len(kinds) != 1:
        raise InvalidError.field(
            "source",
            "give exactly one of package, repo_url, archive, image and remote_url",
        )
    kind = kinds[0]
    for key in given.keys() - {kind} - KINDS[kind]:
        raise InvalidError.field(
            f"source.{key}", f"does not go together with {kind}; leave it out"
        )
    value = given[kind].strip()
    match kind:
        case "package":
            return parse_package(value, given.get("as_of"))
        case "repo_url":
            found = parse_git(value, given.get("branch"), given.get("subdirectory", ""))
            return replace(found, submodules="submodules" in given, lfs="lfs" in given)
        case "archive":
            return parse_archive(
                value, given.get("archive_name", ""), given.get("subdirectory", "")
            )
        case "image":
            return parse_image(value)
        case _:
            return parse_remote(value)


from_dict = parse_source


def _check_type(key: str, value: object) -> None:
    if key in FLAGS:
        if not isinstance(value, bool):
            raise InvalidError.field(f"source.{key}", "give true or false")
    elif not isinstance(value, str) or len(value) > MAX_LENGTH:
        raise InvalidError.field(
            f"source.{key}", f"give a text of at most {MAX_LENGTH} characters"
        )


def as_dict(source: Source) -> dict[str, Any]:
    """Return ``source`` as it is stored and answered; ``parse_source`` reads it back."""
    match source:
        case PackageSource():
            return _filled(
                kind=source.kind,
                package=package_text(source),
                as_of=source.as_of and source.as_of.isoformat(),
            )
        case GitSource():
            return _filled(
                kind=source.kind,
                repo_url=source.url,
                branch=source.branch,
                subdirectory=source.subdirectory,
                submodules=source.submodules,
                lfs=source.lfs,
            )
        case ArchiveSource():
            return _filled(
                kind=source.kind,
                archive=source.digest,
                archive_name=source.filename,
                subdirectory=source.subdirectory,
            )
        case ImageSource():
            return {"kind": source.kind, "image": source.reference}
        case RemoteSource():
            return {"kind": source.kind, "remote_url": source.url}


def _filled(**values: object) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def parse_git(url: str, branch: str | None = None, subdirectory: str = "") -> GitSource:
    """Return the repository; ``git@host:path`` is read as ssh.

    Raises:
        InvalidError: Names ``source.repo_url``, ``source.branch`` or
            ``source.subdirectory``.
    """
    scp = _SCP_LIKE.fullmatch(url)
    if scp:
        url = f"ssh://{scp['user']}@{scp['host']}/{scp['path']}"
    checked_url(
        url,
        field="source.repo_url",
        schemes=("https", "http", "ssh"),
        example="https://example.org/owner/repository.git",
    )
    if branch is not None and (
        not branch or len(branch) > MAX_BRANCH or _BAD_BRANCH.search(branch)
    ):
        raise InvalidError.field(
            "source.branch",
            f"{branch!r} is not a branch or tag name, such as main or v1.2",
        )
    return GitSource(url, branch, _subdirectory(subdirectory, "repository"))


def _subdirectory(text: str, whole: str) -> str:
    found = text.strip("/")
    parts = found.lower().split("/")
    if found and (
        not _SUBDIRECTORY.fullmatch(found) or {".", "..", ".git"} & set(parts)
    ):
        raise InvalidError.field(
            "source.subdirectory",
            f"give a directory inside the {whole}, such as servers/one",
        )
    return found


def parse_archive(
    digest: str, filename: str = "", subdirectory: str = ""
) -> ArchiveSource:
    """Return the uploaded archive.

    Raises:
        InvalidError: Names ``source.archive`` or ``source.subdirectory``.
    """
    if not _ARCHIVE.fullmatch(digest):
        raise InvalidError.field(
            "source.archive",
            "give the digest that the upload was answered with: sha256: and 64 hex digits",
        )
    return ArchiveSource(
        digest, plain_filename(filename), _subdirectory(subdirectory, "archive")
    )


def plain_filename(text: str) -> str:
    """Return what somebody called a file, without directories and without strange letters."""
    last = re.split(r"[/\\]", text)[-1]
    plain = _STRANGE_LETTERS.sub("-", last).strip("-.")
    return plain[-MAX_FILENAME:] or "archive"


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
        raise InvalidError.field(
            "source.image",
            f"{text!r} is not an image reference, such as ghcr.io/owner/name:tag",
        )
    return ImageSource(text if match["tag"] or match["digest"] else f"{text}:latest")


def parse_remote(url: str) -> RemoteSource:
    """Return the remote server.

    Raises:
        InvalidError: It is not an http or https URL; names ``source.remote_url``.
    """
    parts = checked_url(
        url,
        field="source.remote_url",
        schemes=("https", "http"),
        example="https://example.org/mcp",
    )
    return RemoteSource(urlunsplit(parts._replace(fragment="")))
