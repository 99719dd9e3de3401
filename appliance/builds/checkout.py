"""Fetching a repository, and looking at what it holds."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.builds.errors import (
    BuildTimeoutError,
    BuildToolError,
    CheckoutRefusedError,
)
from appliance.builds.git_failures import explain_git
from appliance.builds.project import DECIDING, Tree
from appliance.infra import process
from appliance.sources.model import GitSource

CLONE_TIMEOUT_S = 300.0
MAX_CHECKOUT_BYTES = 1024**3
#: Bounds for looking around: names that are listed, sources that are searched for how a
#: server speaks.
MAX_FILES = 20_000
MAX_TEXT_BYTES = 256 * 1024
MAX_SOURCES = 300
_SOURCE_SUFFIXES = (".py", ".js", ".mjs", ".cjs", ".ts", ".mts")
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
    """A repository on disk."""

    #: The directory that holds the server.
    root: Path
    #: The commit, hex.
    revision: str
    tree: Tree
    #: Texts of source files, for guessing how the server speaks.
    sources: tuple[str, ...]


def clone_argv(source: GitSource, target: Path) -> list[str]:
    """Return the command that fetches one commit. Pure."""
    allowed = [f"protocol.{name}.allow=always" for name in ("https", "http", "ssh")]
    config = [
        "protocol.allow=never",
        *allowed,
        "core.hooksPath=/dev/null",
        "credential.helper=",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=30",
    ]
    options = ["--depth=1", "--single-branch", "--no-tags", "--template=", "--progress"]
    if source.branch:
        options.append(f"--branch={source.branch}")
    settings = [part for item in config for part in ("-c", item)]
    return ["git", *settings, "clone", *options, "--", source.url, str(target)]


def git_environment(ca_bundle: Path) -> dict[str, str]:
    """Return the variables under which git asks nobody and reads no one's configuration. Pure."""
    return {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_SSL_CAINFO": str(ca_bundle),
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oConnectTimeout=15",
    }


async def fetch(
    source: GitSource,
    target: Path,
    *,
    ca_bundle: Path,
    on_line: Callable[[str], None],
    mark: str,
) -> Checkout:
    """Clone ``source`` into ``target`` and look at it.

    Raises:
        BuildFailedError: Repository, branch or directory is not there, it is too large,
            or a link leads out of it.
    """
    environment = git_environment(ca_bundle)
    said: list[str] = []

    def read(line: str) -> None:
        said.append(line)
        # Git redraws its percentages many times a second; the last of each is enough.
        if "%" not in line or "100%" in line:
            on_line(line)

    cloning = asyncio.ensure_future(
        process.run(
            clone_argv(source, target),
            on_line=read,
            environment=environment,
            timeout_s=CLONE_TIMEOUT_S,
            mark=mark,
        )
    )
    try:
        finished = await _bounded(cloning, target)
    except process.ProgramTimeoutError as error:
        raise BuildTimeoutError(
            f"Cloning {source.url} took longer than {CLONE_TIMEOUT_S:g} seconds."
        ) from error
    except process.ProgramMissingError as error:
        raise BuildToolError(error.detail, hint="Install git on this box.") from error
    if finished.code:
        raise explain_git(source, said)
    revision = await process.run(
        ["git", "-C", str(target), "rev-parse", "HEAD"],
        environment=environment,
        mark=mark,
    )
    if revision.code:
        raise CheckoutRefusedError(
            f"There is no commit at {source.url}: the repository is empty, or the URL is that of a web page.",
            hint="Check the URL; git hosts show the one for cloning.",
        )
    return await asyncio.to_thread(look, source, target, revision.text.strip())


async def _bounded(
    cloning: "asyncio.Future[process.Finished]", target: Path
) -> process.Finished:
    """Wait for the clone, and stop it when it grows too large."""
    try:
        while not cloning.done():
            await asyncio.wait({cloning}, timeout=_MEASURE_EVERY_S)
            if await asyncio.to_thread(size_of, target) > MAX_CHECKOUT_BYTES:
                raise CheckoutRefusedError(
                    f"The repository is larger than {MAX_CHECKOUT_BYTES // 1024**2} MiB.",
                    hint="Build an image of it elsewhere, and host that.",
                )
        return await cloning
    finally:
        if not cloning.done():
            cloning.cancel()
            await asyncio.wait({cloning})


def size_of(directory: Path) -> int:
    """Return the bytes below ``directory``; what vanishes meanwhile counts nothing. Blocking."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def look(source: GitSource, target: Path, revision: str) -> Checkout:
    """Return what a clone holds. Blocking.

    Raises:
        CheckoutRefusedError: The subdirectory is not there, or a symbolic link leads
            out of the clone.
    """
    root = target / source.subdirectory if source.subdirectory else target
    if not root.is_dir() or not root.resolve().is_relative_to(target.resolve()):
        raise CheckoutRefusedError(
            f"The repository has no directory {source.subdirectory}.",
            hint="Check source.subdirectory.",
        )
    refuse_links_out(target)
    files = list(_files(root))
    texts = {name: _text(root / name) for name in DECIDING if name in files}
    candidates = [name for name in files if name.endswith(_SOURCE_SUFFIXES)][
        :MAX_SOURCES
    ]
    sources = tuple(_text(root / name) for name in candidates)
    return Checkout(root, revision, Tree(frozenset(files), texts), sources)


def refuse_links_out(target: Path) -> None:
    """Refuse a clone with a symbolic link that leads out of it. Blocking.

    Raises:
        CheckoutRefusedError: Names the link.
    """
    inside = target.resolve()
    for place, directories, names in os.walk(target):
        for name in (*directories, *names):
            path = Path(place) / name
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise CheckoutRefusedError(
                    f"The repository has a symbolic link that leads out of it: {path.relative_to(target)}.",
                    hint="Replace the link by the file that it means.",
                )


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
