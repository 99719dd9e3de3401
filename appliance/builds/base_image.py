"""Makes the base image where it is missing: once, however many builds wait for it."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from appliance.builds.base import (
    RECIPE,
    base_dockerfile,
    base_tag,
    debian_mirror,
    mmdebstrap_argv,
    recipe_hash,
)
from appliance.builds.buildx import Buildx
from appliance.builds.dockerfile import BuildxCommand
from appliance.builds.errors import BuildFailedError, BuildTimeoutError, BuildToolError
from appliance.builds.failures import Failure, explain
from appliance.builds.images import has_image, pull
from appliance.builds.workspace import Workspace
from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.infra import process
from appliance.infra.docker import Engine
from appliance.settings import Settings
from appliance.sources.model import ImageSource

#: Seconds that a registry may take to answer before a mirror is tried instead.
PULL_PATIENCE_S = 60.0
APT = Path("/etc/apt")

Listener = Callable[[str], None]


class BaseImages:
    """The base image of one installation."""

    def __init__(
        self, engine: Engine, buildx: Buildx, settings: Settings, *, owner: str
    ) -> None:
        """Keep the parts."""
        self._engine = engine
        self._buildx = buildx
        self._settings = settings
        self._owner = owner
        self._making: asyncio.Task[None] | None = None
        self._said: list[str] = []
        self._listeners: list[Listener] = []

    async def ensure(self, on_line: Listener) -> str:
        """Return the base image's tag, after making it if it is not there.

        Whoever waits reads the same lines. The work goes on while anybody waits, and
        stops with the last.

        Raises:
            BuildFailedError: It could not be made; says what is missing.
            EngineUnavailableError: The engine does not answer.
        """
        files, certificates = await asyncio.to_thread(self._read_recipe)
        recipe = recipe_hash(
            files,
            certificates=certificates,
            source=self._settings.build_base_source,
            image=self._settings.build_base_image,
        )
        tag = base_tag(recipe)
        if await has_image(self._engine, tag):
            return tag
        if self._making is None or self._making.done():
            self._said.clear()
            self._making = asyncio.create_task(self._make(recipe, files, certificates))
        await self._wait(self._making, on_line)
        return tag

    def _read_recipe(self) -> tuple[dict[str, bytes], bytes]:
        files = {
            path.name: path.read_bytes() for path in RECIPE.iterdir() if path.is_file()
        }
        bundle = self._settings.ca_bundle
        return files, bundle.read_bytes() if bundle.is_file() else b""

    async def _wait(self, making: "asyncio.Task[None]", on_line: Listener) -> None:
        on_line("The base image for servers is not on this box yet; it is made once.")
        for line in self._said:
            on_line(line)
        self._listeners.append(on_line)
        try:
            await asyncio.shield(making)
        finally:
            self._listeners.remove(on_line)
            if not self._listeners and not making.done():
                making.cancel()
                await asyncio.wait({making})

    def _say(self, text: str) -> None:
        self._said.append(text)
        for listener in self._listeners:
            listener(text)

    async def _make(
        self, recipe: str, files: dict[str, bytes], certificates: bytes
    ) -> None:
        mark = f"base:{self._owner}"
        async with Workspace(
            self._settings.data_dir / "builds" / "base", mark=mark
        ) as work:
            pulled = await self._pulled()
            if pulled is None:
                await self._assemble(work.path, mark)
            text = base_dockerfile(files["Dockerfile"].decode(), pulled=pulled)
            await asyncio.to_thread(
                _write_context, work.path, {**files, "host-ca.pem": certificates}, text
            )
            command = BuildxCommand(
                tag=base_tag(recipe),
                dockerfile=work.path / "Dockerfile",
                context=work.path,
                labels={labels.BASE: recipe},
                builder=self._settings.buildx_builder,
                build_arguments=process.proxies(),
            )
            await self._buildx.build(
                command,
                ImageSource(self._settings.build_base_image),
                on_line=self._say,
                mark=mark,
            )

    async def _pulled(self) -> str | None:
        """Return the configured image if it is to be had; ``None``: assemble one."""
        source, image = (
            self._settings.build_base_source,
            self._settings.build_base_image,
        )
        if source == "debian":
            return None
        if await has_image(self._engine, image):
            return image
        self._say(f"Pulling {image}.")
        try:
            async with asyncio.timeout(PULL_PATIENCE_S if source == "auto" else None):
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

    async def _assemble(self, work: Path, mark: str) -> None:
        mirror = self._settings.build_debian_mirror or await asyncio.to_thread(
            _own_mirror
        )
        is_root = os.geteuid() == 0
        argv = mmdebstrap_argv(work / "rootfs.tar", mirror=mirror, is_root=is_root)
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
