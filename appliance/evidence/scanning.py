"""Going through an image's file system as a tar stream, and keeping what tells of packages.

The stream is a stranger's: sizes, counts and names are bounded, and what goes beyond is said and left out.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

from appliance.evidence.inventory import (
    Distribution,
    Package,
    parse_apk,
    parse_copyright,
    parse_dpkg,
    parse_node,
    parse_os_release,
    parse_python,
)

DPKG_STATUS = "var/lib/dpkg/status"
#: Distroless images keep one file a package here.
DPKG_FRAGMENTS = "var/lib/dpkg/status.d/"
APK_INSTALLED = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
#: Empty files that engines put into every container, and that are not in the image.
MOUNT_POINTS = frozenset(
    {
        ".dockerenv", "dev/console",
        "etc/hostname", "etc/hosts", "etc/resolv.conf",
    }
)  # fmt: skip
LOCK_FILES = frozenset(
    {
        "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml",
        "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.lock", "pylock.toml",
        "Cargo.lock", "go.sum",
    }
)  # fmt: skip
#: Python's and Node's own copies of lock files below these are not what the server was installed from.
_NOT_LOCKS = ("node_modules/", "site-packages/", "dist-packages/")

_CHUNK: Final = 1024 * 1024
MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Bounds:
    """How much of a stranger's image is looked at."""

    entries: int = 2_000_000
    packages: int = 20_000
    #: Files that are told of where an image has no list of packages.
    files: int = 5_000
    locks: int = 100
    #: Bytes of one list that are read; Debian's own with 2,000 packages has 2 MB.
    list_bytes: int = 16 * MIB
    #: Bytes of one package's description that are read.
    description_bytes: int = MIB
    #: Bytes that are hashed; longer files are told of without a hash.
    hashed_bytes: int = 256 * MIB
    #: Things left out that are told one by one.
    omissions: int = 100


@dataclass(frozen=True)
class File:
    """A file of an image that has no list of packages."""

    path: str
    size_bytes: int
    #: Hexadecimal; empty: it was too long to be hashed.
    sha256: str


@dataclass
class Inventory:
    """What an image holds."""

    distribution: Distribution = field(default_factory=Distribution)
    packages: list[Package] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    #: Path of a lock file to its SHA-256.
    locks: dict[str, str] = field(default_factory=dict)
    #: What was left out because a bound was met.
    omissions: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as the scanner hands it over."""
        return {
            "distribution": asdict(self.distribution),
            "packages": [item.as_json() for item in self.packages],
            "files": [asdict(item) for item in self.files],
            "locks": self.locks,
            "omissions": self.omissions,
        }

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> "Inventory":
        """Return what ``as_json`` gave."""
        return cls(
            distribution=Distribution(**data["distribution"]),
            packages=[Package.of_json(item) for item in data["packages"]],
            files=[File(**item) for item in data["files"]],
            locks=dict(data["locks"]),
            omissions=list(data["omissions"]),
        )


def scan(stream: BinaryIO, bounds: Bounds | None = None) -> Inventory:
    """Return what the tar in ``stream`` holds. Blocking; memory stays small whatever the stream's length.

    Raises:
        tarfile.TarError: It is no tar, or ends in its middle.
    """
    return _Scan(bounds or Bounds()).run(stream)


class _Scan:
    """One pass over a stream."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._found = Inventory()
        # A distribution's own lists are read before it is known which one it is.
        self._system: list[tuple[Callable[..., list[Package]], str, str]] = []
        self._licences: dict[str, tuple[str, ...]] = {}

    def run(self, stream: BinaryIO) -> Inventory:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
            for member in self._members(archive):
                self._look(archive, member)
        self._read_system()
        self._found.packages.sort(key=lambda item: (item.purl, item.found_in))
        if self._found.packages:
            # The files are what packages brought, then; naming them again says nothing.
            self._found.files = []
            self._found.omissions = [
                text for text in self._found.omissions if not text.startswith("files")
            ]
        else:
            self._found.files.sort(key=lambda item: item.path)
        return self._found

    def _members(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        for _ in range(self._bounds.entries):
            archive.members = []  # type: ignore[attr-defined]  # it would remember every one
            member = archive.next()
            if member is None:
                return
            if member.isreg():
                yield member
        self._omit(f"entries beyond {self._bounds.entries}")

    def _look(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = _relative(member.name)
        if self._look_for_system(archive, member, path):
            return
        if is_python_description(path):
            self._add(parse_python(self._text(archive, member), path))
        elif is_node_description(path):
            self._add(parse_node(self._text(archive, member), path))
        elif is_lock(path):
            self._lock(archive, member, path)
        elif not self._found.packages and not self._system:
            self._file(archive, member, path)

    def _look_for_system(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str
    ) -> bool:
        """Keep what the distribution itself says of its packages; tell whether it was such."""
        if path == DPKG_STATUS or path.startswith(DPKG_FRAGMENTS):
            self._keep_system(archive, member, parse_dpkg, path)
        elif path in APK_INSTALLED:
            self._keep_system(archive, member, parse_apk, path)
        elif path in OS_RELEASE:
            self._found.distribution = parse_os_release(self._text(archive, member))
        elif is_copyright(path):
            package = path.split("/")[3]
            self._licences[package] = parse_copyright(self._text(archive, member))
        else:
            return False
        return True

    def _keep_system(
        self,
        archive: tarfile.TarFile,
        member: tarfile.TarInfo,
        parse: Callable[..., list[Package]],
        path: str,
    ) -> None:
        if path.endswith(".md5sums"):
            return
        text = self._text(archive, member, limit=self._bounds.list_bytes)
        self._system.append((parse, text, path))

    def _read_system(self) -> None:
        for parse, text, path in self._system:
            for package in parse(text, self._found.distribution, path):
                named = self._licences.get(package.name, ())
                licences = package.licences or named
                self._add(
                    Package(package.name, package.version, package.purl, licences, path)
                )

    def _add(self, package: Package | None) -> None:
        if package is None:
            return
        if len(self._found.packages) >= self._bounds.packages:
            self._omit(f"packages beyond {self._bounds.packages}")
            return
        self._found.packages.append(package)

    def _lock(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str
    ) -> None:
        if len(self._found.locks) >= self._bounds.locks:
            self._omit(f"lock files beyond {self._bounds.locks}")
            return
        if value := _sha256(archive, member, self._bounds.hashed_bytes):
            self._found.locks[path] = value

    def _file(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str
    ) -> None:
        if path in MOUNT_POINTS and not member.size:
            return
        if len(self._found.files) >= self._bounds.files:
            self._omit(f"files beyond {self._bounds.files}")
            return
        value = _sha256(archive, member, self._bounds.hashed_bytes)
        self._found.files.append(File(path, member.size, value))

    def _text(
        self,
        archive: tarfile.TarFile,
        member: tarfile.TarInfo,
        *,
        limit: int = 0,
    ) -> str:
        limit = limit or self._bounds.description_bytes
        if member.size > limit:
            self._omit(f"{_relative(member.name)[:200]}: {member.size} bytes")
            return ""
        content = archive.extractfile(member)
        return content.read(limit).decode(errors="replace") if content else ""

    def _omit(self, words: str) -> None:
        said = self._found.omissions
        if words not in said and len(said) < self._bounds.omissions:
            self._found.omissions.append(words)


def is_copyright(path: str) -> bool:
    """Tell whether a file says under which licences a Debian package is.

    >>> is_copyright("usr/share/doc/libc6/copyright")
    True
    """
    parts = path.split("/")
    return parts[:3] == ["usr", "share", "doc"] and parts[4:] == ["copyright"]


def is_python_description(path: str) -> bool:
    """Tell whether a file says what Python distribution lies beside it.

    >>> is_python_description("opt/v/lib/python3.13/site-packages/mcp-1.0.dist-info/METADATA")
    True
    """
    parts = PurePosixPath(path).parts
    if len(parts) < 2:  # noqa: PLR2004 - a directory and a file
        return False
    directory, name = parts[-2], parts[-1]
    return (name == "METADATA" and directory.endswith(".dist-info")) or (
        name == "PKG-INFO" and directory.endswith(".egg-info")
    )


def is_node_description(path: str) -> bool:
    """Tell whether a ``package.json`` is that of an installed package, and not one of the many within packages.

    >>> is_node_description("app/node_modules/@scope/a/package.json")
    True
    >>> is_node_description("app/node_modules/a/dist/esm/package.json")
    False
    """
    before, found, after = path.rpartition("node_modules/")
    if not found or (before and not before.endswith("/")):
        return False
    depth = 3 if after.startswith("@") else 2
    return after.endswith("/package.json") and after.count("/") == depth - 1


def is_lock(path: str) -> bool:
    """Tell whether a file says which versions were to be installed.

    >>> is_lock("opt/mcp/server/app/uv.lock"), is_lock("a/node_modules/b/yarn.lock")
    (True, False)
    """
    return path.rpartition("/")[2] in LOCK_FILES and not any(
        part in path for part in _NOT_LOCKS
    )


def _relative(path: str) -> str:
    return path.removeprefix("./").lstrip("/")


def _sha256(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> str:
    if member.size > limit:
        return ""
    content = archive.extractfile(member)
    if content is None:
        return ""
    found = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()
