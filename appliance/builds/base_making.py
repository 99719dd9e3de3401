"""Makes one base image: a Debian pulled or assembled, and on it what Python and Node servers need."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiodocker

from appliance.builds.base import (
    base_dockerfile,
    base_tag,
    debian_mirror,
    mmdebstrap_argv,
)
from appliance.builds.buildx import Buildx
from appliance.builds.dockerfile import BuildxCommand
from appliance.builds.emulation import explain_foreign
from appliance.builds.errors import (
    BuildFailedError,
    BuildTimeoutError,
    BuildToolError,
    ImageNotFoundError,
)
from appliance.builds.failures import Failure, explain
from appliance.builds.images import has_image, inspect, pull
from appliance.builds.workspace import Workspace
from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.core.platforms import KNOWN, dashed, platform_of
from appliance.infra import process
from appliance.infra.docker import Engine, words
from appliance.settings import Settings
from appliance.sources.model import ImageSource

#: Seconds that a registry may take to answer before a mirror is tried instead.
PULL_PATIENCE_S = 60.0
APT = Path("/etc/apt")


@dataclass(frozen=True)
class Base:
    """What is to be made."""

    #: Hash of all that goes into it.
    recipe: str
    #: The recipe's files by name.
    files: dict[str, bytes]
    #: What the box trusts.
    certificates: bytes
    #: ``None``: the box's own.
    platform: str | None = None

    @property
    def tag(self) -> str:
        """The image's name."""
        return base_tag(self.recipe, self.platform)


class BaseMaker:
    """Makes one base image, once.

    Args:
        say: Takes lines about it.
    """

    def __init__(
        self,
        engine: Engine,
        buildx: Buildx,
        settings: Settings,
        *,
        owner: str,
        say: Callable[[str], None],
    ) -> None:
        """Keep the parts."""
        self._engine = engine
        self._buildx = buildx
        self._settings = settings
        self._owner = owner
        self._say = say

    async def make(self, base: Base) -> None:
        """Make it.

        Raises:
            BuildFailedError: It could not be made; says what is missing.
            EngineUnavailableError: The engine does not answer.
        """
        name = f"base-{dashed(base.platform)}" if base.platform else "base"
        mark = f"base:{self._owner}:{name}"
        place = self._settings.data_dir / "builds" / name
        async with Workspace(place, mark=mark) as work:
            pulled = await self._pulled(base.platform)
            if pulled is None:
                await self._assemble(work.path, base.platform, mark)
            text = base_dockerfile(base.files["Dockerfile"].decode(), pulled=pulled)
            files = {**base.files, "host-ca.pem": base.certificates}
            await asyncio.to_thread(_write_context, work.path, files, text)
            command = BuildxCommand(
                tag=base.tag,
                dockerfile=work.path / "Dockerfile",
                context=work.path,
                labels={labels.BASE: base.recipe},
                builder=self._settings.buildx_builder,
                build_arguments=process.proxies(),
                platform=base.platform,
            )
            await self._buildx.build(
                command,
                ImageSource(self._settings.build_base_image),
                on_line=self._say,
                mark=mark,
            )

    async def _pulled(self, platform: str | None) -> str | None:
        """Return the configured image if it is to be had; ``None``: assemble one."""
        source, image = (
            self._settings.build_base_source,
            self._settings.build_base_image,
        )
        if source == "debian":
            return None
        if await self._is_here(image, platform):
            return image
        try:
            async with asyncio.timeout(PULL_PATIENCE_S if source == "auto" else None):
                if platform:
                    await self._ask_registry(image, platform)
                else:
                    self._say(f"Pulling {image}.")
                    await pull(self._engine, image, on_line=self._say)
        except (BuildFailedError, TimeoutError) as error:
            if source == "registry":
                raise
            why = (
                error.detail
                if isinstance(error, DomainError)
                else "its registry did not answer in time."
            )
            self._say(f"{why} Assembling Debian from a mirror instead.")
            return None
        return image

    async def _is_here(self, image: str, platform: str | None) -> bool:
        if platform is None:
            return await has_image(self._engine, image)
        found = await inspect(self._engine, image)
        return found is not None and (
            f"{found['Os']}/{found['Architecture']}" == platform
        )

    async def _ask_registry(self, image: str, platform: str) -> None:
        """Find out whether a builder could pull a foreign image.

        The engine would give it the very name that the box's own image has; a builder pulls without naming.
        """
        self._say(f"Asking the registry for {image} of {platform}.")
        async with self._engine.reach(timeout_s=None) as client:
            try:
                found: dict[str, Any] = await client._query_json(  # noqa: SLF001 - the library has no door to this
                    f"distribution/{image}/json"
                )
            except aiodocker.DockerError as error:
                if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}:
                    raise ImageNotFoundError(
                        f"Its registry has no image {image}, or does not show it: {words(error)}."
                    ) from error
                raise BuildFailedError(
                    f"{image} is not to be had: {words(error)}."
                ) from error
        if platform not in _platforms(found):
            raise ImageNotFoundError(f"{image} is not there for {platform}.")

    async def _assemble(self, work: Path, platform: str | None, mark: str) -> None:
        mirror = self._settings.build_debian_mirror or await asyncio.to_thread(
            _own_mirror
        )
        is_root = os.geteuid() == 0
        argv = mmdebstrap_argv(
            work / "rootfs.tar",
            mirror=mirror,
            is_root=is_root,
            architecture=KNOWN[platform] if platform else None,
        )
        if await asyncio.to_thread(shutil.which, "mmdebstrap") is None:
            raise self._no_mmdebstrap()
        said: list[str] = []

        def read(line: str) -> None:
            said.append(line)
            self._say(line)

        try:
            finished = await process.run(
                argv,
                on_line=read,
                # Should it be killed, what it leaves is in a directory that is ours to remove. In a user namespace it
                # needs one that everybody may enter, which a data directory is not.
                environment={"TMPDIR": str(work)} if is_root else {},
                timeout_s=self._settings.build_timeout,
                mark=mark,
            )
        except process.ProgramMissingError as error:
            raise BuildToolError(error.detail, hint="Install util-linux.") from error
        except process.ProgramTimeoutError as error:
            raise BuildTimeoutError(error.detail) from error
        if finished.code:
            explain_foreign(platform, said)
            raise _assembly_failed(said, is_root=is_root)

    def _no_mmdebstrap(self) -> BuildToolError:
        return BuildToolError(
            f"The base image {self._settings.build_base_image} could not be pulled, and mmdebstrap, which would"
            " assemble one from a Debian mirror, is not on this box.",
            hint="Install mmdebstrap (Ubuntu: and debian-archive-keyring), or set BUILD_BASE_IMAGE to one that can be had.",
        )


def _assembly_failed(said: list[str], *, is_root: bool) -> DomainError:
    known = explain(Failure(ImageSource("debian"), "assembling Debian", said))
    if type(known) is not BuildFailedError:
        return known
    errors = [line for line in said if line.startswith("E: ")]
    return BuildFailedError(
        f"The base image could not be assembled: {errors[0].removeprefix('E: ') if errors else 'mmdebstrap failed'}",
        hint=None
        if is_root
        else "Without root this needs user namespaces and uidmap; or set BUILD_BASE_IMAGE to an image that can be pulled.",
        output=tuple(said[-12:]),
    )


def _platforms(found: dict[str, Any]) -> list[str]:
    """Return what a registry has of an image, as far as there is a name for it."""
    names = []
    for item in found.get("Platforms") or []:
        parts = [item.get("architecture", ""), item.get("variant", "")]
        try:
            names.append(platform_of("/".join(part for part in parts if part)))
        except ValueError:
            continue  # a platform of another system, or "unknown", as attestations have it
    return names


def _write_context(work: Path, files: dict[str, bytes], dockerfile: str) -> None:
    for name, content in files.items():
        (work / name).write_bytes(content)
    (work / "Dockerfile").write_text(dockerfile)


def _own_mirror() -> str | None:
    """Return the mirror of a Debian box; other boxes have none that would do. Blocking."""
    try:
        release = dict(
            line.split("=", 1)
            for line in Path("/etc/os-release").read_text().splitlines()
            if "=" in line
        )
    except OSError:
        return None
    codename = release.get("VERSION_CODENAME", "").strip('"')
    if release.get("ID") != "debian" or not codename:
        return None
    paths = [APT / "sources.list", *(APT / "sources.list.d").glob("*")]
    texts = {
        path.name: path.read_text()
        for path in paths
        if path.suffix in {".list", ".sources"} and path.is_file()
    }
    return debian_mirror(texts, codename)
