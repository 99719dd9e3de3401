"""Fetching a repository, and looking at what a tree of files holds."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.builds.errors import (
    BuildTimeoutError,
    BuildToolError,
    CheckoutRefusedError,
)
from appliance.builds.git import GitAccess, Listing, clone_argv, lfs_settings
from appliance.builds.git_failures import explain_git, explain_lfs, explain_submodule
from appliance.builds.limits import Limits
from appliance.builds.project import Tree, decides
from appliance.builds.tree_check import check_tree, measure, too_large, too_many
from appliance.core.errors import DomainError
from appliance.infra import process
from appliance.sources.model import ArchiveSource, GitSource

#: Bounds for looking around: names that are listed, sources that are searched for how a
#: server speaks.
MAX_FILES = 20_000
MAX_TEXT_BYTES = 256 * 1024
MAX_SOURCES = 300
_SOURCE_SUFFIXES = (".py", ".js", ".mjs", ".cjs", ".ts", ".mts", ".rs", ".go")
_PASSED_OVER = {
    ".git",
    "node_modules",
    ".venv",
    "venv",
    "tests",
    "test",
    "__tests__",
    "examples",
    "docs",
}
_MEASURE_EVERY_S = 0.5


@dataclass(frozen=True)
class Checkout:
    """A tree of files on disk."""

    #: The directory that holds the server.
    root: Path
    #: The commit, hex, or the archive's digest.
    revision: str
    tree: Tree
    #: Texts of source files, for guessing how the server speaks.
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Fetch:
    """One repository on its way to the disk."""

    source: GitSource
    target: Path
    access: GitAccess
    ca_bundle: Path
    limits: Limits
    on_line: Callable[[str], None]
    mark: str

    async def run(self) -> str:
        """Fetch it, and return the commit.

        Raises:
            BuildFailedError: Repository or branch is not there, it is too large, or made
                to do harm.
        """
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                revision = await self._clone()
                await self._list(revision)
                await self._write()
                if self.source.submodules:
                    await self._submodules()
                if self.source.lfs:
                    await self._large_files()
        except TimeoutError as error:
            raise BuildTimeoutError(
                f"Fetching {self.source.url} took longer than {self.limits.timeout_s:g} seconds.",
                hint="GIT_TIMEOUT allows more.",
            ) from error
        return revision

    async def _clone(self) -> str:
        said: list[str] = []

        def read(line: str) -> None:
            said.append(line)
            del said[:-200]
            # Git redraws its percentages many times a second; the last of each is enough.
            if "%" not in line or "100%" in line:
                self.on_line(line)

        argv = clone_argv(self.source, self.target, self.access)
        if await self._run(argv, read):
            raise explain_git(self.source, said)
        found: list[str] = []
        argv = self.access.git("rev-parse", "--verify", "HEAD^{commit}", at=self.target)
        if await self._run(argv, found.append) or not found:
            raise CheckoutRefusedError(
                f"There is no commit at {self.source.url}: the repository is empty, or the URL is that of a web page.",
                hint="Check the URL; git hosts show the one for cloning.",
            )
        return found[0]

    async def _list(self, revision: str) -> None:
        """Refuse what the commit would write, before it writes anything."""
        listing = Listing(self.limits)
        argv = self.access.git(
            "ls-tree", "-r", "-t", "--long", "--full-tree", revision, at=self.target
        )
        code = await self._run(argv, listing.feed, lambda: listing.problem)
        if listing.problem:
            raise listing.problem
        if code:
            raise explain_git(self.source, ["fatal: the commit cannot be listed"])

    async def _write(self) -> None:
        said: list[str] = []
        argv = self.access.git("reset", "--hard", "--quiet", "HEAD", at=self.target)
        if await self._run(argv, said.append):
            raise explain_git(self.source, said)

    async def _submodules(self) -> None:
        said: list[str] = []
        argv = self.access.git(
            "submodule", "update", "--init", "--recursive", "--depth=1", at=self.target
        )
        if await self._run(argv, self._telling(said)):
            raise explain_submodule(self.source, said)

    async def _large_files(self) -> None:
        said: list[str] = []
        argv = self.access.git(
            *lfs_settings(self.source), "lfs", "pull", at=self.target
        )
        if await self._run(argv, self._telling(said)):
            raise explain_lfs(self.source, said)

    def _telling(self, said: list[str]) -> Callable[[str], None]:
        def read(line: str) -> None:
            said.append(line)
            del said[:-200]
            self.on_line(line)

        return read

    async def _run(
        self,
        argv: list[str],
        read: Callable[[str], None],
        problem: Callable[[], DomainError | None] = lambda: None,
    ) -> int:
        """Run a program until it ends, grows too large, or ``problem`` finds one."""
        guarded = await asyncio.to_thread(self.limits.guard, argv)
        running = asyncio.ensure_future(
            process.run(
                guarded,
                on_line=read,
                environment=self.access.environment(self.ca_bundle),
                mark=self.mark,
            )
        )
        try:
            while not running.done() and problem() is None:
                await asyncio.wait({running}, timeout=_MEASURE_EVERY_S)
                await self._measure()
            return (await running).code if running.done() else 0
        except process.ProgramMissingError as error:
            raise BuildToolError(
                error.detail, hint="Install git on this box."
            ) from error
        finally:
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({running})

    async def _measure(self) -> None:
        # What git keeps for itself is about as many files again, and as many bytes.
        most = 2 * self.limits.max_files
        size, count = await asyncio.to_thread(measure, self.target, at_most=most)
        if size > 2 * self.limits.max_bytes:
            raise too_large("repository", self.limits)
        if count > most:
            raise too_many("repository", self.limits)


def look(
    source: GitSource | ArchiveSource, target: Path, revision: str, limits: Limits
) -> Checkout:
    """Return what a tree of files holds. Blocking.

    Raises:
        CheckoutRefusedError: The subdirectory is not there, or the tree holds what no build must get.
    """
    whole = "repository" if isinstance(source, GitSource) else "archive"
    root = target / source.subdirectory if source.subdirectory else target
    if not root.is_dir() or not root.resolve().is_relative_to(target.resolve()):
        raise CheckoutRefusedError(
            f"The {whole} has no directory {source.subdirectory}.",
            hint="Check source.subdirectory.",
        )
    check_tree(target, whole, limits)
    files = list(_files(root))
    deciding = [name for name in files if decides(name)][:MAX_SOURCES]
    texts = {name: _text(root / name) for name in deciding}
    candidates = [name for name in files if name.endswith(_SOURCE_SUFFIXES)][
        :MAX_SOURCES
    ]
    sources = tuple(_text(root / name) for name in candidates)
    return Checkout(root, revision, Tree(frozenset(files), texts), sources)


def _files(root: Path) -> Iterator[str]:
    """Yield paths of regular files, nearer ones first within a directory."""
    count = 0
    for place, directories, names in os.walk(root):
        directories[:] = sorted(
            name for name in directories if name not in _PASSED_OVER
        )
        for name in sorted(names):
            path = Path(place) / name
            count += 1
            if count > MAX_FILES:
                return
            if path.is_file():
                yield path.relative_to(root).as_posix()


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_TEXT_BYTES).decode(errors="replace")
