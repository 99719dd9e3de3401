"""From a source that is a tree of files to that tree on the disk: a repository, or an archive that somebody brought."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.builds.archive import unpack
from appliance.builds.checkout import Checkout, Fetch, look
from appliance.builds.errors import ArchiveRefusedError
from appliance.builds.git import GitAccess, access
from appliance.builds.limits import Limits
from appliance.settings import Settings
from appliance.sources.credentials import CredentialKind
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import ArchiveSource, GitSource


@dataclass(frozen=True)
class Wanted:
    """One tree of files that one build needs."""

    source: GitSource | ArchiveSource
    server_id: int
    #: An empty directory of this build; the tree becomes ``work / "checkout"``.
    work: Path
    say: Callable[[str], None]
    mark: str


class Trees:
    """Brings trees of files to the disk."""

    def __init__(self, keeper: SourceKeeper, settings: Settings) -> None:
        """Keep the parts."""
        self._keeper = keeper
        self._ca_bundle = settings.ca_bundle
        self._limits = Limits.of(settings)

    async def fetch(self, wanted: Wanted) -> Checkout:
        """Return the tree, checked.

        Raises:
            BuildFailedError: It cannot be had, or holds what no build must get.
        """
        if isinstance(wanted.source, GitSource):
            return await self._clone(wanted, wanted.source)
        return await self._unpack(wanted, wanted.source)

    async def _clone(self, wanted: Wanted, source: GitSource) -> Checkout:
        wanted.say(
            f"Cloning {source.url}" + (f", {source.branch}." if source.branch else ".")
        )
        opened = await self._keeper.reveal(wanted.server_id)
        credential, known_hosts = opened or (None, "")
        way = access(source, wanted.work / "access", credential, known_hosts)
        target = wanted.work / "checkout"
        await asyncio.to_thread(write_private, way.home, way.files)
        try:
            revision = await Fetch(
                source=source,
                target=target,
                access=way,
                ca_bundle=self._ca_bundle,
                limits=self._limits,
                on_line=wanted.say,
                mark=wanted.mark,
            ).run()
            if credential and credential.kind is CredentialKind.DEPLOY_KEY:
                await self._pin(wanted.server_id, way)
        finally:
            # Nothing that comes after, the build least of all, needs a way in.
            await asyncio.to_thread(_remove, way.home)
        wanted.say(f"At commit {revision}.")
        return await asyncio.to_thread(look, source, target, revision, self._limits)

    async def _pin(self, server_id: int, way: GitAccess) -> None:
        seen = await asyncio.to_thread(way.known_hosts.read_text)
        if seen.strip():
            await self._keeper.pin(server_id, seen)

    async def _unpack(self, wanted: Wanted, source: ArchiveSource) -> Checkout:
        path = self._keeper.uploads.path(source.digest)
        if not await asyncio.to_thread(path.is_file):
            raise ArchiveRefusedError(
                f"The file of {source.filename} is no longer there.",
                hint="Upload it again.",
            )
        wanted.say(f"Unpacking {source.filename}, {source.digest}.")
        target = await unpack(
            path,
            wanted.work / "checkout",
            self._limits,
            on_line=wanted.say,
            mark=wanted.mark,
        )
        return await asyncio.to_thread(
            look, source, target, source.digest, self._limits
        )


def name_of(source: GitSource | ArchiveSource) -> str:
    """Return what a project is called that does not say so itself. Pure."""
    if source.subdirectory:
        return source.subdirectory.rsplit("/", 1)[-1]
    if isinstance(source, ArchiveSource):
        return source.filename.partition(".")[0]
    return source.url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")


def write_private(home: Path, files: Mapping[str, str]) -> None:
    """Make a directory with files that nobody else may read. Blocking."""
    home.mkdir(mode=0o700)
    for name, text in files.items():
        path = home / name
        path.touch(mode=0o600)
        path.write_text(text)


def _remove(home: Path) -> None:
    for path in sorted(home.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    home.rmdir()
